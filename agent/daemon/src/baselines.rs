//! Which baseline counts for the next run: read anew for each, from a file or from S3, with the last copy of what was
//! fetched kept on disk for the time when the bucket can't be reached.
//!
//! It decides nothing that a report does not say: source, digest and time of fetching are in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patchd_core::baseline::ruling::Ruling;
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_host::baseline_files::{self, BaselineContent, COPIES, Ruled};
use patchd_host::durable;
use patchd_host::root::Root;
use patchd_protocol::baseline::{MAX_BASELINE, override_list};
use patchd_protocol::config::{BaselineSource, Settings};

use crate::chain::chain;
use crate::store::s3::{Encryption, S3Settings, S3Store};
use crate::store::{Remedy, StoreError};

/// How long the bucket is waited for. Its client tries more than once in that time.
const PATIENCE: Duration = Duration::from_secs(60);

const COPY_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// Finds the baseline of this host.
#[derive(Debug, Clone)]
pub struct Baselines {
    /// What is judged, and what has the files.
    root: Root,
    config_root: Root,
    /// Where copies are kept; nowhere in a single run.
    state: Option<PathBuf>,
}

impl Baselines {
    pub fn new(root: Root, config_root: Root, state: Option<&Path>) -> Self {
        Self { root, config_root, state: state.map(Path::to_owned) }
    }

    /// The ruling for a host of that patch group, and what is to be said beside it.
    pub async fn ruling(&self, settings: &Settings, patch_group: Option<&str>, now: Timestamp) -> Ruled {
        let source = settings.baseline.of_group(patch_group).clone();
        let (ruling, problems) = match &source {
            BaselineSource::S3 { bucket, key } => self.in_bucket(settings, bucket, key, now).await,
            BaselineSource::Default | BaselineSource::Builtin(_) | BaselineSource::File(_) => {
                let (root, config_root) = (self.root.clone(), self.config_root.clone());
                let (system, loading) = (self.root.clone(), source.clone());
                let read = move || baseline_files::load(&root, &config_root, &loading);
                match tokio::task::spawn_blocking(read).await {
                    Ok(ruled) => ruled,
                    Err(error) => {
                        let message = format!("a bug of patchd cut its reading: {error}");
                        let shown = source.to_string();
                        let problem =
                            Problem::new(ProblemKind::Unreadable, Weight::Incomplete, &*shown, message);
                        (Ruling::unusable(shown, baseline_files::system_of(&system)), vec![problem])
                    }
                }
            }
        };
        (ruling.for_group(patch_group), problems)
    }

    /// The ruling for an apply: with the list that it goes by, where one is configured.
    ///
    /// A list that can't be read leaves the ruling as it is, and a problem that keeps anything from being changed.
    pub async fn for_apply(&self, settings: &Settings, (ruling, mut problems): Ruled) -> Ruled {
        let Some(source) = &settings.baseline.install_override_list else { return (ruling, problems) };
        let shown = source.to_string();
        let read = match self.bytes(settings, source).await {
            Ok(content) => override_list::read(&shown, &content).map_err(|mistakes| {
                let told: Vec<_> = mistakes.list().iter().map(ToString::to_string).collect();
                Problem::new(ProblemKind::Malformed, Weight::Incomplete, &*shown, told.join("; "))
            }),
            Err(problem) => Err(problem),
        };
        match read {
            Ok(list) => (ruling.overridden(list, shown), problems),
            Err(problem) => {
                problems.push(problem);
                (ruling, problems)
            }
        }
    }

    async fn bytes(&self, settings: &Settings, source: &BaselineSource) -> Result<Vec<u8>, Problem> {
        let shown = source.to_string();
        match source {
            BaselineSource::S3 { bucket, key } => fetch(settings, bucket, key).await.map_err(|error| {
                let why = format!("it can't be fetched: {}", chain(&error));
                Problem::new(ProblemKind::Unreadable, Weight::Incomplete, &*shown, why)
            }),
            BaselineSource::File(path) => baseline_files::read_file(&self.config_root, path),
            BaselineSource::Default | BaselineSource::Builtin(_) => Ok(Vec::new()),
        }
    }

    async fn in_bucket(&self, settings: &Settings, bucket: &str, key: &str, now: Timestamp) -> Ruled {
        let source = format!("s3://{bucket}/{key}");
        let system = baseline_files::system_of(&self.root);
        match fetch(settings, bucket, key).await {
            Ok(content) => {
                let found = BaselineContent { source, content, fetched_at: Some(now) };
                let (ruling, problems) = baseline_files::judge(found.clone(), system);
                // A copy is for the time when there is nothing newer: one that can't be used is none.
                if problems.iter().all(|problem| problem.weight == Weight::Notice) {
                    self.keep(bucket, key, found.content).await;
                }
                (ruling, problems)
            }
            Err(error) => {
                let why = format!("it can't be fetched: {}", chain(&error));
                match self.kept(bucket, key) {
                    Some(copy) => {
                        let limit = SignedDuration::try_from(settings.scan.max_list_age)
                            .unwrap_or(SignedDuration::MAX);
                        let problem = of_copy(&source, why, copy.fetched_at, now, limit);
                        let (ruling, mut problems) = baseline_files::judge(copy, system);
                        problems.push(problem);
                        (ruling, problems)
                    }
                    None => {
                        let problem =
                            Problem::new(ProblemKind::Unreadable, Weight::Incomplete, &*source, why);
                        (Ruling::unusable(source, system), vec![problem])
                    }
                }
            }
        }
    }

    async fn keep(&self, bucket: &str, key: &str, content: Vec<u8>) {
        let Some(state) = &self.state else { return };
        let directory = state.join(COPIES);
        let path = directory.join(baseline_files::copy_name(bucket, key));
        let written = tokio::task::spawn_blocking(move || {
            durable::create_directories(&directory, DIRECTORY_MODE)?;
            durable::atomic_write(&path, &content, COPY_MODE)
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(error = chain(&error), "the copy of the baseline could not be kept");
        }
    }

    fn kept(&self, bucket: &str, key: &str) -> Option<BaselineContent> {
        let state = self.state.as_ref()?;
        let state = Root::at(state);
        baseline_files::read_copy(&state, Path::new(""), bucket, key).ok()
    }
}

/// What is said of a copy that stands in: it is no news for a while, and then it is.
fn of_copy(
    source: &str,
    why: String,
    fetched_at: Option<Timestamp>,
    now: Timestamp,
    limit: SignedDuration,
) -> Problem {
    let (weight, age) = match fetched_at {
        // A copy from the future has no age that could be told.
        Some(at) if at <= now && now.duration_since(at) <= limit => (Weight::Notice, format!("of {at}")),
        Some(at) => (Weight::Incomplete, format!("of {at}")),
        None => (Weight::Incomplete, "of an unknown time".into()),
    };
    let message = format!("{why}; the host is judged by the copy {age}");
    Problem::new(ProblemKind::Stale, weight, source, message)
}

async fn fetch(settings: &Settings, bucket: &str, key: &str) -> Result<Vec<u8>, StoreError> {
    let (s3, own) = (&settings.store.s3, &settings.baseline);
    let store = S3Store::new(
        bucket.to_owned(),
        String::new(),
        S3Settings {
            region: own.region.clone().or_else(|| s3.region.clone()),
            endpoint_url: s3.endpoint.clone(),
            path_style: s3.path_style,
            encryption: Encryption::OfBucket,
            expected_bucket_owner: own.expected_bucket_owner.clone(),
            metadata_url: None,
        },
    );
    match tokio::time::timeout(PATIENCE, store.get(key, MAX_BASELINE)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(StoreError {
            remedy: Remedy::Later,
            what: format!("s3://{bucket}/{key}"),
            sentence: format!("there was no answer within {} s", PATIENCE.as_secs()),
        }),
    }
}

//! How long things took on this host: what each transaction told, and what later ones are estimated by.
//!
//! Of each package the last five changes count, and the longest of them at that.

use jiff::SignedDuration;
use patchd_core::package::PackageName;
use patchd_core::plan::need::Pace;
use patchd_protocol::executor::{DownloadWire, PackageTimingWire};
use rusqlite::params;

use super::{Journal, JournalError};

/// How many changes of a package, and how many downloads, are remembered.
const KEPT: u32 = 5;

/// How many timings there may be of all packages together: the oldest are forgotten.
const KEPT_OF_ALL: u32 = 20_000;

/// What was fetched in less time, or was smaller, says nothing of the speed.
const SHORTEST_DOWNLOAD_MILLISECONDS: u64 = 200;
const SMALLEST_DOWNLOAD_BYTES: u64 = 256 << 10;

impl Journal {
    /// Takes down what a transaction took. Told again, it counts once.
    pub fn learn(
        &mut self,
        transaction: &str,
        timings: &[PackageTimingWire],
        download: Option<DownloadWire>,
    ) -> Result<(), JournalError> {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let commit = self.connection.transaction()?;
        {
            let mut insert = commit.prepare_cached(
                "INSERT OR IGNORE INTO timings (package, transaction_id, milliseconds) VALUES (?1, ?2, ?3)",
            )?;
            let mut forget = commit.prepare_cached(
                "DELETE FROM timings WHERE package = ?1 AND sequence NOT IN \
                 (SELECT sequence FROM timings WHERE package = ?1 ORDER BY sequence DESC LIMIT ?2)",
            )?;
            for timing in timings {
                // A name that none can have would only take room.
                if PackageName::parse(&timing.name).is_ok() {
                    insert.execute(params![timing.name, transaction, number(timing.milliseconds)])?;
                    forget.execute(params![timing.name, KEPT])?;
                }
            }
        }
        commit.execute(
            "DELETE FROM timings WHERE sequence <= (SELECT max(sequence) FROM timings) - ?1",
            params![KEPT_OF_ALL],
        )?;
        let is_telling = |download: &DownloadWire| {
            SHORTEST_DOWNLOAD_MILLISECONDS <= download.milliseconds
                && SMALLEST_DOWNLOAD_BYTES <= download.bytes
        };
        if let Some(DownloadWire { bytes, milliseconds }) = download.filter(is_telling) {
            commit.execute(
                "INSERT OR IGNORE INTO downloads (transaction_id, bytes, milliseconds) VALUES (?1, ?2, ?3)",
                params![transaction, number(bytes), number(milliseconds)],
            )?;
            commit.execute(
                "DELETE FROM downloads WHERE sequence NOT IN \
                 (SELECT sequence FROM downloads ORDER BY sequence DESC LIMIT ?1)",
                params![KEPT],
            )?;
        }
        Ok(commit.commit()?)
    }

    /// What is known of this host's pace: the slowest of what is remembered.
    pub fn pace(&self) -> Result<Pace, JournalError> {
        let mut pace = Pace::default();
        let mut statement = self
            .connection
            .prepare_cached("SELECT package, max(milliseconds) FROM timings GROUP BY package")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        for row in rows {
            let (package, milliseconds) = row?;
            if let Ok(package) = PackageName::parse(&package) {
                pace.packages.insert(package, SignedDuration::from_millis(milliseconds));
            }
        }
        let slowest: Option<i64> = self.connection.query_row(
            "SELECT min(bytes * 1000 / max(milliseconds, 1)) FROM downloads WHERE bytes < 1000000000000",
            [],
            |row| row.get(0),
        )?;
        pace.download_bytes_per_second = slowest.and_then(|speed| u64::try_from(speed).ok());
        Ok(pace)
    }
}

//! The daemon in its unit: what it can still do there, what it can't, and who can take the place of its socket.

use anyhow::{Context, Result};
use patchd_tests::agent_host::install_units;
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::{is_root_or_skipped, left_out};
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::s3::{BUCKET, HOST, S3Server};
use patchd_tests::{command, wait};

/// Asks for the version, as landlock_create_ruleset(2) tells it.
const KERNEL_HAS_LANDLOCK: &str = "perl -e 'exit(0 < syscall(444, 0, 0, 1) ? 0 : 1)'";

/// A root with the units, one package and a fix for it; nothing may be changed.
fn root() -> Result<AptRoot> {
    let root = AptRoot::fresh_with_systemd()?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &[ToyPackage::new("lab-plain", "1.0")])?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-plain"])?;
    repository.publish(Suite::Security, &[ToyPackage::new("lab-plain", "1.1")])?;
    install_units(&root)?;
    Ok(root)
}

const CONNECT: &str = "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); \
                       connect(S, pack_sockaddr_un(\"/run/patchd/executor.sock\")) or exit 1'";

/// The daemon's process.
fn process(booted: &Booted<'_>) -> Result<String> {
    wait::until("patchd to be ready", 30, || {
        let state = booted.property("patchd.service", "ActiveState")?;
        Ok((state == "active").then_some(()))
    })
    .with_context(|| booted.journal())?;
    booted.property("patchd.service", "MainPID")
}

/// Runs a shell's line as somebody; whether it succeeded.
fn can(booted: &Booted<'_>, user: &str, line: &str) -> Result<bool> {
    let user = format!("--reuid={user}");
    let words = ["setpriv", &user, "--regid=patchd", "--clear-groups", "sh", "-c", line];
    Ok(command::finish(&mut booted.command(words))?.code() == Some(0))
}

#[test]
fn it_scans_delivers_over_tls_and_answers_within_its_limits() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let Some(server) = S3Server::start_or_skipped()? else { return Ok(()) };
    let root = root()?;
    let endpoint = match server.tls() {
        Some((endpoint, certificate)) => {
            root.install(&certificate, "/etc/ssl/certs/lab.pem")?;
            endpoint
        }
        None => {
            left_out("TLS: openssl is not installed");
            server.url()
        }
    };
    let store = format!(
        "[store]\nurl = \"s3://{BUCKET}/units\"\nendpoint = \"{endpoint}\"\npath_style = true\nregion = \"us-east-1\"\n"
    );
    root.write("/etc/patchd/patchd.toml", store)?;
    let environment = format!(
        "[Service]\nEnvironment=SSL_CERT_FILE=/etc/ssl/certs/lab.pem AWS_EC2_METADATA_DISABLED=true\n\
         Environment=AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}\n",
        HOST.access_key, HOST.secret_key
    );
    root.write("/etc/systemd/system/patchd.service.d/lab.conf", environment)?;

    let booted = Booted::boot(&root)?;
    let port = endpoint.rsplit_once(':').context("an endpoint has a port")?.1.parse()?;
    booted.forward(port)?;
    let process = process(&booted)?;
    let key = wait::until("the report in S3", 120, || {
        Ok(server.keys(BUCKET)?.into_iter().find(|key| key.contains("/v1/reports/")))
    });
    let key = key.with_context(|| booted.journal())?;
    let report = patchd_protocol::report::gzip::decode(&server.object(BUCKET, &key)?.0, 64 << 20)?;
    let complete = patchd_protocol::report::native::AssessmentWire::Complete;
    assert_eq!(report.assessment, complete, "{report:#?}");
    let status = booted.run(["patchctl", "status", "--json"])?.json()?;
    assert_eq!(status.get("process_id").map(ToString::to_string), Some(process.clone()), "{status:#}");

    let read =
        |name: &str| Ok::<_, anyhow::Error>(booted.run(["cat", &format!("/proc/{process}/{name}")])?.stdout);
    assert_eq!(read("oom_score_adj")?, "500\n");
    let nice = booted.run(["ps", "-o", "ni=", "-p", &process]).map(|said| said.stdout.trim().to_owned());
    assert!(nice.is_err() || nice.is_ok_and(|nice| nice == "5"));
    let limits = read("limits")?;
    let limit = |name: &str| -> Option<&str> {
        limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().nth(1)
    };
    assert_eq!([limit("Max open files"), limit("Max core file size")], [Some("1024"), Some("0")], "{limits}");
    for (property, value) in [("MemoryHigh", 320 << 20), ("MemoryMax", 400 << 20), ("TasksMax", 64)] {
        assert_eq!(booted.property("patchd.service", property)?, value.to_string(), "{property}");
    }
    // The unit's own filter lets it shut itself in further, as far as the kernel has it.
    let journal = booted.run(["journalctl", "--no-pager", "-o", "cat", "-u", "patchd.service"])?.stdout;
    let landlock = journal.lines().find(|line| line.contains("landlock: ")).context("no word of landlock")?;
    let is_in_kernel = command::finish(command::command("sh").args(["-c", KERNEL_HAS_LANDLOCK]))?.code();
    assert_eq!(landlock.contains("ABI"), is_in_kernel == Some(0), "{landlock}");
    // As the daemon sees it, nobody else has a process, and nothing can be written but its own.
    let inside = |line: &str| -> Result<bool> {
        let enter =
            ["nsenter", "--target", &process, "--mount", "setpriv", "--reuid=patchd", "--regid=patchd"];
        let words = enter.into_iter().chain(["--clear-groups", "sh", "-c", line]);
        Ok(command::finish(&mut booted.command(words))?.code() == Some(0))
    };
    assert!(inside("test -e /proc/uptime && test ! -e /proc/1 && ls /proc/locks")?);
    assert!(inside("touch /var/lib/patchd/lab /run/patchd/control/lab /tmp/lab")?);
    for place in ["/run/patchd/lab", "/run/lab", "/var/lib/lab", "/etc/lab", "/dev/shm/lab", "/home/lab"] {
        assert!(!inside(&format!("touch {place}"))?, "{place}");
    }
    assert!(!inside("test -e /dev/console || test -e /dev/tty1")?);
    Ok(())
}

#[test]
fn nobody_takes_the_place_of_a_socket() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root()?;
    root.run(["useradd", "--system", "--gid", "patchd", "lab-reader"])?;
    let booted = Booted::boot(&root)?;
    process(&booted)?;
    let answers = || Ok::<_, anyhow::Error>(booted.run(["patchctl", "status"]).is_ok());
    assert!(answers()?, "{}", booted.journal());
    let identity = || booted.run(["stat", "-c", "%i %U %a %F", "/run/patchd/executor.sock"]);
    let before = identity()?.stdout;
    // A broken agent, and somebody who may only read.
    let tries = [
        "rm -f /run/patchd/executor.sock",
        "mv -f /run/patchd/executor.sock /run/patchd/control/aside",
        "ln -sf /tmp/theirs /run/patchd/executor.sock",
        "rm -f /run/patchd/patchd.sock",
        "ln -sfn /tmp/theirs /run/patchd/patchd.sock",
        "mv -T /run/patchd/control /run/patchd/aside",
        "mkdir /run/patchd/more",
        "touch /run/patchd/lab",
        "chmod 777 /run/patchd",
    ];
    for user in ["patchd", "lab-reader"] {
        for line in tries {
            assert!(!can(&booted, user, line)?, "{user}: {line}");
        }
    }
    for line in ["touch /run/patchd/control/lab", "rm -f /run/patchd/control/patchd.sock"] {
        assert!(!can(&booted, "lab-reader", line)?, "{line}");
    }
    assert_eq!(identity()?.stdout, before);
    assert!(can(&booted, "lab-reader", "patchctl status")?, "who may read reads");
    for (user, may_connect) in [("root", true), ("patchd", true), ("lab-reader", false)] {
        assert_eq!(can(&booted, user, CONNECT)?, may_connect, "{user}");
    }

    // While the agent is stopped its place is nobody's.
    booted.run(["systemctl", "stop", "patchd.service"])?;
    for user in ["patchd", "lab-reader"] {
        for line in ["mkdir /run/patchd/control", "touch /run/patchd/control/patchd.sock"] {
            assert!(!can(&booted, user, line)?, "{user}: {line}");
        }
    }
    assert!(!answers()?);
    booted.run(["systemctl", "start", "patchd.service"])?;
    process(&booted)?;
    assert!(answers()?);

    // A patchd that root starts by hand beside it gives nothing away.
    let by_hand = command::finish(&mut booted.command(["timeout", "20", "/usr/bin/patchd"]))?;
    assert!(![Some(0), Some(124)].contains(&by_hand.code()), "{by_hand:?}");
    assert_eq!(booted.run(["stat", "-c", "%U %a", "/run/patchd"])?.stdout, "root 755\n");
    assert!(answers()?);
    Ok(())
}

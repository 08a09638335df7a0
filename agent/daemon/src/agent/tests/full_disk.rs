//! A disk without room for the journal: nothing is done that it does not take.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_done_that_the_journal_does_not_take() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    let now = START.parse().unwrap();
    let (mut journal, _) = Journal::open(Path::new(&path), now).unwrap();
    journal.limit_pages(1);
    let filler = |number: u32| NewRun {
        order: Order {
            id: RunId::parse(&format!("filler-{number}")).unwrap(),
            operation: Operation::Scan,
            refresh: RefreshPolicy::Refresh,
            wish: Wish::WhatIsDue,
        },
        trigger: by_hand(),
        occurrence: None,
    };
    let mut fill = |number| {
        let begun = journal.begin(&filler(number), now);
        begun.and_then(|()| journal.abandon(&format!("filler-{number}"), "it fills the disk", now))
    };
    let full = (0..999).find_map(|number| fill(number).err());
    assert!(matches!(full, Some(JournalError::Full)), "{full:?}");

    let stage = stage(SharedJournal::new(journal), settings(None), false, &[]);
    let refused = stage.handle.start_run(Operation::Scan, Wish::WhatIsDue, by_hand()).await;
    assert!(matches!(refused, Err(Refusal::Journal(JournalError::Full))), "{refused:?}");
    tokio::time::sleep(Duration::from_secs(6 * 3_600)).await;
    assert_eq!(stage.host.told(), [""; 0], "something was done without the journal");
    assert!(!stage.handle.health().await.unwrap().healthy);

    stage
        .journal
        .with(|journal| {
            journal.limit_pages(1_000_000);
            Ok(())
        })
        .await
        .unwrap();
    stage.host.reached(3).await;
    assert!(stage.handle.health().await.unwrap().healthy);
    stage.end().await;
}

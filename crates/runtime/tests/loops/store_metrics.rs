//! The metrics of store calls count those that fail, and those whose caller stops waiting.

use std::time::Duration;

use faulty_store::StoreMode;
use forebay_metrics::{Format, Metrics, metered_store::MeteredStore};
use forebay_shared::store::Store as _;
use tokio::time::timeout;

use crate::scene::Scene;

#[tokio::test(start_paused = true)]
async fn failed_and_abandoned_calls_are_counted_by_kind() {
    let scene = Scene::new();
    let metrics = Metrics::default();
    let metered = MeteredStore::new(scene.store.clone(), metrics.store.clone());
    metered.counts().await.unwrap();
    scene.store.set_mode(StoreMode::Down);
    metered.counts().await.unwrap_err();
    scene.store.set_mode(StoreMode::Hanging);
    timeout(Duration::from_secs(1), metered.counts())
        .await
        .unwrap_err();
    let text = metrics.encode(Format::Text).unwrap();
    for series in [
        r#"forebay_store_errors_total{operation="counts",kind="unavailable"} 1"#,
        r#"forebay_store_errors_total{operation="counts",kind="abandoned"} 1"#,
        r#"forebay_store_duration_seconds_count{operation="counts"} 3"#,
    ] {
        assert!(
            text.lines().any(|line| line == series),
            "{series} is not in {text}"
        );
    }
}

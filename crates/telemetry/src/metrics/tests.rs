use super::*;

static SEEN: Counter = Counter::new("ganglion_test_seen_total", "Things seen.");
static LEVEL: Gauge = Gauge::new("ganglion_test_level", "How high.");
static TOOK: Histogram = Histogram::new("ganglion_test_took_seconds", "How long.");

#[test]
fn metrics_are_rendered_with_help_and_labels() {
    install_recorder().unwrap();
    install_recorder().unwrap();
    SEEN.increment(2);
    SEEN.with(&[("kind", "a")]).increment(1);
    LEVEL.set(3.0);
    LEVEL.add(-1.0);
    TOOK.record(0.003);
    let text = render();
    for line in [
        "# HELP ganglion_test_seen_total Things seen.",
        "ganglion_test_seen_total 2",
        "ganglion_test_seen_total{kind=\"a\"} 1",
        "ganglion_test_level 2",
        "ganglion_test_took_seconds_bucket{le=\"0.005\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

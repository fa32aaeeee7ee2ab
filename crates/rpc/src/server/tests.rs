use super::*;

#[test]
fn grpc_timeouts_are_read() {
    assert_eq!(parse_timeout("1500m"), Some(Duration::from_millis(1500)));
    assert_eq!(parse_timeout("2S"), Some(Duration::from_secs(2)));
    for bad in ["", "S", "12", "123456789S", "1x", "-1S"] {
        assert_eq!(parse_timeout(bad), None, "{bad}");
    }
}

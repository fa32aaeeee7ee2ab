//! Generates the code anew and compares it with what is checked in.

use std::path::Path;

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let protos = root.join("../../proto");
    let files = [
        "ganglion/log/v1/log.proto",
        "ganglion/persister/v1/persister.proto",
        "ganglion/soft/v1/soft.proto",
    ]
    .map(|f| protos.join(f));
    let descriptors = protox::compile(files, [protos.clone()]).expect("the protos compile");
    let checked_in = root.join("src/generated");
    let update = std::env::var_os("UPDATE_PROTO").is_some();
    let fresh = tempfile::tempdir().expect("a folder");
    let out = if update {
        checked_in.as_path()
    } else {
        fresh.path()
    };
    tonic_prost_build::configure()
        .build_transport(true)
        .out_dir(out)
        .bytes(".")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)
        .expect("code is generated");
    for name in [
        "ganglion.log.v1.rs",
        "ganglion.persister.v1.rs",
        "ganglion.soft.v1.rs",
    ] {
        let wanted = std::fs::read_to_string(out.join(name)).expect("generated");
        let found = std::fs::read_to_string(checked_in.join(name)).expect("checked in");
        assert!(wanted == found, "{name} is out of date: run `make proto`");
    }
}

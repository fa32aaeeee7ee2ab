use super::*;

#[test]
fn ports_are_kept_and_never_shared() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ours = Ports::open(here.path()).unwrap();
    let mut theirs = Ports::open(there.path()).unwrap();
    let names: Vec<_> = (0..70).map(|number| format!("name-{number}")).collect();
    let mut given: Vec<_> = names.iter().map(|name| ours.of(name).unwrap()).collect();
    let before = given.clone();
    assert_eq!(ours.of("name-3").unwrap(), before[3]);
    given.extend(names.iter().map(|name| theirs.of(name).unwrap()));
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 140);

    drop(ours);
    let mut again = Ports::open(here.path()).unwrap();
    let after: Vec<_> = names.iter().map(|name| again.of(name).unwrap()).collect();
    assert_eq!(before, after);
}

#[test]
fn a_port_that_was_taken_meanwhile_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let before = Ports::open(folder.path()).unwrap().of("name").unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, before)).unwrap();
    let mut again = Ports::open(folder.path()).unwrap();
    assert_ne!(again.of("name").unwrap(), before);
    assert!(again.wanted("plain", Some(before)).is_err());
    drop(taken);
}

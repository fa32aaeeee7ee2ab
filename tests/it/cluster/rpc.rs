//! Who may call whom, and the admin port.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ganglion_config::{Config, Rpc};
use ganglion_launcher::{ProcessFacts, Role};
use ganglion_model::{CommandId, Shard};
use ganglion_proto::persister::room_writer_client::RoomWriterClient;
use ganglion_proto::persister::{BuildCreateRequest, CommandReply, RoomCommand};
use ganglion_rpc::{Channel, RpcClients};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use ruma::RoomId;
use serde_json::json;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};

use super::owners::{owner_of, settled};
use crate::sandbox::{Shared, connect, eventually, metric, shared};
use crate::user::http;

/// Longer than it takes until everybody has looked at the cluster again.
const A_WHILE: Duration = Duration::from_secs(10);
const DENIED: &str = "ganglion_rpc_denied_total";

#[tokio::test]
async fn a_client_reader_may_call_and_a_role_without_that_right_may_not() {
    let cluster = shared().await;
    let persister = persisters(cluster).remove(0);
    let config = rpc_config(cluster);
    build_create(channel(&config, &persister)).await.unwrap();

    let authority = Authority::of(&config);
    let before = metric(&persister.admin_url, DENIED, "").await;
    let names = ["media.ganglion.internal", "client-reader.example.org"];
    for (number, name) in names.into_iter().enumerate() {
        let minted = authority.mint(&format!("stranger-{number}"), name);
        let status = build_create(channel(&minted, &persister))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{name}: {status}");
    }
    let status = execute(
        channel(&authority.mint("stranger", names[0]), &persister),
        "!a:b",
    )
    .await;
    assert_eq!(status.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(metric(&persister.admin_url, DENIED, "").await - before, 3.0);
}

#[tokio::test]
async fn who_is_not_of_the_cluster_gets_no_connection() {
    let cluster = shared().await;
    let persister = persisters(cluster).remove(0);
    let config = rpc_config(cluster);

    // The right name, by another authority.
    let forged = Authority::another().mint("forged", "client-reader.ganglion.internal");
    let forged = Rpc {
        ca_file: config.ca_file.clone(),
        ..forged
    };
    no_connection(channel(&forged, &persister)).await;

    // TLS, but no certificate.
    let address = persister.rpc_address.unwrap();
    let ca = std::fs::read(&config.ca_file).unwrap();
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(ca))
        .domain_name("event-persister.ganglion.internal");
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    no_connection(endpoint.tls_config(tls).unwrap().connect_lazy()).await;

    // No TLS.
    let plain = Endpoint::from_shared(format!("http://{address}")).unwrap();
    no_connection(plain.connect_lazy()).await;

    // None of it has harmed the server.
    build_create(channel(&config, &persister)).await.unwrap();
}

#[tokio::test]
async fn a_wrong_owner_says_which_epoch_it_knows() {
    let cluster = shared().await;
    let config = rpc_config(cluster);
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let db = connect(&cluster.facts.postgres.primary).await;
    settled(&db, &cluster.cluster).await;
    let owner = owner_of(&db, &room).await.unwrap();
    let shard = Shard::of_room(&RoomId::parse(&room).unwrap()).number();
    let query = "SELECT epoch FROM shards WHERE shard = $1";
    let epoch: i64 = db.query_one(query, &[&shard]).await.unwrap().get(0);
    for persister in persisters(cluster) {
        if persister.instance.to_string() == owner {
            let answer = execute(channel(&config, &persister), &room).await;
            // It is the command, which holds nothing, that the owner does not like.
            assert!(answer.unwrap().result.is_some());
            continue;
        }
        // It knows what it saw when it last looked, which may be before the last move.
        let knows = async || {
            let answer = execute(channel(&config, &persister), &room).await;
            let status = answer.unwrap_err();
            assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
            let known = status.metadata().get("ganglion-epoch").unwrap();
            known.to_str().unwrap() == epoch.to_string()
        };
        assert!(eventually(A_WHILE, knows).await);
    }
}

#[tokio::test]
async fn every_process_tells_how_it_stands() {
    let cluster = shared().await;
    let all = cluster.facts.processes.len();
    let instances = format!("\nganglion_cluster_instances {all}\n");
    for process in &cluster.facts.processes {
        let admin = &process.admin_url;
        assert_eq!(ask(admin, "/live").await, (200, "live".to_owned()));
        assert_eq!(ask(admin, "/ready").await, (200, "ready".to_owned()));
        let sees_all = async || {
            let (status, metrics) = ask(admin, "/metrics").await;
            status == 200 && metrics.contains(&instances)
        };
        assert!(eventually(A_WHILE, sees_all).await, "{}", process.name);
        assert_eq!(ask(admin, "/nothing").await.0, 404);

        let (_, level) = ask(admin, "/log").await;
        // A level that is none changes nothing.
        for (wanted, status, then) in [
            (
                "warn,ganglion_storage=debug",
                200,
                "warn,ganglion_storage=debug",
            ),
            ("loud=quiet=3", 400, "warn,ganglion_storage=debug"),
            (level.as_str(), 200, level.as_str()),
        ] {
            let put = http().put(format!("{admin}/log")).body(wanted.to_owned());
            assert_eq!(put.send().await.unwrap().status(), status, "{wanted}");
            let (_, mut now) = ask(admin, "/log").await;
            let mut then = then.to_owned();
            // A filter's directives come back in an order of its own.
            for level in [&mut now, &mut then] {
                let mut parts: Vec<&str> = level.split(',').collect();
                parts.sort_unstable();
                *level = parts.join(",");
            }
            assert_eq!(now, then);
        }
    }
}

async fn ask(admin: &str, path: &str) -> (u16, String) {
    let answer = http().get(format!("{admin}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn persisters(cluster: &Shared) -> Vec<ProcessFacts> {
    let processes = cluster.facts.processes.iter();
    processes
        .filter(|process| process.role == Role::EventPersister)
        .cloned()
        .collect()
}

/// The client-reader's.
fn rpc_config(cluster: &Shared) -> Rpc {
    Config::load(&cluster.cluster.config_of(Role::ClientReader), [])
        .unwrap()
        .rpc
}

fn channel(config: &Rpc, to: &ProcessFacts) -> Channel {
    let clients = RpcClients::new(config).unwrap();
    let address = to.rpc_address.unwrap().to_string();
    clients.channel("event-persister", &address).unwrap()
}

/// A call that any instance serves and that changes nothing.
async fn build_create(channel: Channel) -> Result<(), Status> {
    let mut request = tonic::Request::new(BuildCreateRequest {
        creator: "@alice:localhost".to_owned(),
        room_version: "12".to_owned(),
        content: b"{}".to_vec().into(),
        room_id: None,
        origin_server_ts: None,
    });
    request.set_timeout(Duration::from_secs(10));
    let reply = RoomWriterClient::new(channel).build_create(request).await?;
    assert!(reply.into_inner().result.is_some());
    Ok(())
}

/// The call ends with the connection: no service answers it.
async fn no_connection(channel: Channel) {
    let status = build_create(channel).await.unwrap_err();
    let source = std::error::Error::source(&status);
    let broke = source.is_some_and(|source| source.is::<tonic::transport::Error>());
    assert!(broke, "{status}");
}

/// A command that holds nothing.
async fn execute(channel: Channel, room: &str) -> Result<CommandReply, Status> {
    let mut request = tonic::Request::new(RoomCommand {
        room_id: room.to_owned(),
        command_id: CommandId::random().as_bytes().to_vec().into(),
        command: None,
    });
    request.set_timeout(Duration::from_secs(10));
    let reply = RoomWriterClient::new(channel).execute(request).await?;
    Ok(reply.into_inner())
}

/// Who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca_file: PathBuf,
}

impl Authority {
    /// The cluster's own.
    fn of(config: &Rpc) -> Self {
        let ca_file = config.ca_file.clone();
        let key = std::fs::read_to_string(ca_file.with_extension("key")).unwrap();
        let certificate = std::fs::read_to_string(&ca_file).unwrap();
        let key = KeyPair::from_pem(&key).unwrap();
        Self {
            issuer: Issuer::from_ca_cert_pem(&certificate, key).unwrap(),
            ca_file,
        }
    }

    /// Somebody else's.
    fn another() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let signed = params.self_signed(&key).unwrap().pem();
        let ca_file = file("another-ca.crt", &signed);
        Self {
            issuer: Issuer::from_ca_cert_pem(&signed, key).unwrap(),
            ca_file,
        }
    }

    /// A certificate with that DNS name.
    fn mint(&self, file_name: &str, dns_name: &str) -> Rpc {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([dns_name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params.signed_by(&key, &self.issuer).unwrap().pem();
        Rpc {
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            ca_file: self.ca_file.clone(),
            cert_file: file(&format!("{file_name}.crt"), &signed),
            key_file: file(&format!("{file_name}.key"), &key.serialize_pem()),
            deadline_ms: 20_000,
        }
    }
}

fn file(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rpc-certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

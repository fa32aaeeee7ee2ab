//! HAProxy's configuration. `helm/ganglion/templates/_haproxy.tpl` writes the same rules for a
//! cluster of machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::roles::local;
use crate::routes::Rule;

/// One instance of a role.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) http: u16,
    pub(crate) admin: u16,
}

/// All that the configuration depends on.
#[derive(Debug)]
pub(crate) struct Balancer<'a> {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    /// Certificate and key.
    pub(crate) bundle: &'a Path,
    /// The socket for statistics and commands.
    pub(crate) socket: &'a Path,
    pub(crate) metrics: u16,
    /// How many connections of clients at a time.
    pub(crate) connections: u64,
    pub(crate) rules: &'a [Rule],
    /// The role that gets what no rule names.
    pub(crate) default: &'a str,
    /// The instances of each role that serves HTTP.
    pub(crate) backends: BTreeMap<&'a str, Vec<Server>>,
}

/// Status, Matrix error code and text of what HAProxy itself answers.
const ERRORS: [(u16, &str, &str); 6] = [
    (400, "M_UNRECOGNIZED", "the request is not HTTP"),
    (408, "M_UNKNOWN", "the request came too slowly"),
    (500, "M_UNKNOWN", "internal server error"),
    (502, "M_UNKNOWN", "no answer from the server"),
    (503, "M_UNKNOWN", "no server is ready, try again"),
    (504, "M_UNKNOWN", "no answer in time, try again"),
];

/// The file's text.
pub(crate) fn text(balancer: &Balancer<'_>) -> String {
    let mut text = format!(
        "global\n  log stdout format raw local0\n  maxconn {}\n  hard-stop-after 150s\n  \
         stats socket {} mode 600 level admin expose-fd listeners\n\n{DEFAULTS}",
        balancer.connections,
        balancer.socket.display(),
    );
    for (status, code, words) in ERRORS {
        line(
            &mut text,
            &format!(
                "  http-error status {status} content-type application/json string \
             '{{\"errcode\":\"{code}\",\"error\":\"{words}\"}}' {ERROR_HEADERS}"
            ),
        );
    }
    line(&mut text, "\nfrontend matrix\n  log global");
    text.push_str(LOG);
    line(&mut text, &format!("  bind {}", balancer.plain));
    line(
        &mut text,
        &format!(
            "  bind {} ssl crt {} alpn h2,http/1.1 ssl-min-ver TLSv1.2",
            balancer.tls,
            balancer.bundle.display(),
        ),
    );
    text.push_str(REQUESTS);
    for Rule { prefix, role } in balancer.rules {
        line(
            &mut text,
            &format!("  use_backend {role} if {{ path {prefix} }} || {{ path_beg {prefix}/ }}"),
        );
    }
    line(
        &mut text,
        &format!("  default_backend {}", balancer.default),
    );
    for (role, servers) in &balancer.backends {
        backend(&mut text, role, servers);
    }
    metrics(&mut text, balancer);
    text
}

fn backend(text: &mut String, role: &str, servers: &[Server]) {
    line(text, &format!("\nbackend {role}"));
    text.push_str(BACKEND);
    for server in servers {
        line(
            text,
            &format!(
                "  server {} {} port {}",
                server.name,
                local(server.http),
                server.admin,
            ),
        );
    }
}

fn metrics(text: &mut String, balancer: &Balancer<'_>) {
    line(
        text,
        &format!(
            "\nfrontend metrics\n  bind {}\n  \
         http-request use-service prometheus-exporter if {{ path /metrics }}\n  \
         http-request return status 200 content-type text/plain string ok if {{ path /live }}\n  \
         # Ready while at least one {role} can be reached.\n  \
         http-request return status 503 if {{ nbsrv({role}) eq 0 }}\n  \
         http-request return status 200 content-type text/plain string ok",
            local(balancer.metrics),
            role = balancer.default,
        ),
    );
}

fn line(text: &mut String, words: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "{words}").ok();
}

const DEFAULTS: &str = "\
defaults
  mode http
  option dontlognull
  option redispatch
  retries 2
  retry-on conn-failure empty-response
  timeout connect 2s
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout queue 5s
  # Longer than the longest /sync.
  timeout client 150s
  timeout server 150s
  hash-type consistent sdbm avalanche
";

const ERROR_HEADERS: &str = "hdr Access-Control-Allow-Origin \"*\" \
    hdr Access-Control-Allow-Methods \"GET, POST, PUT, DELETE, OPTIONS\" \
    hdr Access-Control-Allow-Headers \"X-Requested-With, Content-Type, Authorization\" \
    hdr Cache-Control no-store";

const LOG: &str = r#"  # Path without query: tokens never reach the log.
  log-format "%ci %ST %TR/%Tw/%Tc/%Tr/%Ta %HM %HPO %b/%s %ts %U %B"
"#;

const REQUESTS: &str = r#"  http-request del-header X-Forwarded-For
  http-request del-header X-Forwarded-Proto
  option forwardfor
  http-request del-header Forwarded
  http-request set-header X-Request-Id %[uuid()] unless { req.hdr(X-Request-Id) -m len 1:64 }
  # All devices of a user on one client-reader, by the hint in our own tokens; a foreign token is
  # its own key, no token at all takes turns. Any instance serves any request: this only keeps
  # caches warm.
  http-request set-var(txn.key) req.fhdr(authorization),'regsub("^Bearer +(gst_[0-9a-f]{8})_.*$","\1",i)'
  http-request set-var(txn.key) url_param(access_token),'regsub("^(gst_[0-9a-f]{8})_.*$","\1")' unless { var(txn.key) -m found }
  # Sent again to another instance only what may be done twice: reads, and writes that carry a
  # transaction id.
  acl has_txn path_reg ^/_matrix/client/[^/]+/(rooms/[^/]+/(send|redact)|sendToDevice)/[^/]+/[^/]+$
  http-request disable-l7-retry unless METH_GET or { method PUT } has_txn
"#;

const BACKEND: &str = "\
  balance hash var(txn.key)
  hash-balance-factor 150
  option httpchk
  http-check send meth GET uri /ready
  http-check expect status 200
  # 404 means draining: no new requests, those in work are finished.
  http-check disable-on-404
.if version_atleast(3.0)
  default-server check inter 1s fall 2 rise 1 hash-key addr-port
.else
  default-server check inter 1s fall 2 rise 1
.endif
";

#[cfg(test)]
mod tests;

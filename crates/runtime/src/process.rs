//! From `main` to the last task.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use ganglion_config::Config;
use ganglion_model::Clock;
use ganglion_telemetry::metrics;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::addresses::Addresses;
use crate::readiness::Readiness;
use crate::tasks::Tasks;

/// `EX_CONFIG` of sysexits.h.
const BAD_CONFIG: u8 = 78;

/// A server role.
pub trait Service: Sized + Send + 'static {
    /// Its name, in kebab case.
    const ROLE: &'static str;

    /// What it serves by HTTP: method and path template. The balancer's rules are made from it.
    #[must_use]
    fn routes() -> Vec<(String, String)> {
        Vec::new()
    }

    /// Opens pools and binds ports; tells `context.addresses` the bound ones.
    fn build(context: Context) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Serves until `context.drain` is cancelled, then hands over what it holds and returns.
    fn run(self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What the shell gives a service.
#[derive(Debug, Clone)]
pub struct Context {
    /// The checked configuration.
    pub config: Arc<Config>,
    /// This process, until it ends.
    pub instance: Uuid,
    /// [`Service::ROLE`].
    pub role: &'static str,
    /// Wall-clock time.
    pub clock: Clock,
    /// What `/ready` answers; the service sets it.
    pub readiness: Readiness,
    /// Cancelled when the process is asked to end; `/ready` answers 404 by then.
    pub drain: CancellationToken,
    /// For background tasks.
    pub tasks: Tasks,
    /// For bound addresses.
    pub addresses: Addresses,
}

#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, env = "GANGLION_CONFIG")]
    config: Option<PathBuf>,
    /// Checks the configuration and exits.
    #[arg(long)]
    check: bool,
    /// Prints the HTTP routes as a JSON list of [method, path template] and exits.
    #[arg(long)]
    routes: bool,
}

/// Runs a role; the exit code tells whether it ended as asked.
#[must_use]
pub fn main<S: Service>() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.routes {
        return print_routes(&S::routes());
    }
    let Some(path) = arguments.config else {
        return complain("--config FILE or GANGLION_CONFIG is needed", BAD_CONFIG);
    };
    let environment = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let config = match Config::load(&path, environment) {
        Ok(config) => config,
        Err(error) => return complain(&error.to_string(), BAD_CONFIG),
    };
    if arguments.check {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name(S::ROLE)
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(live::<S>(config));
            runtime.shutdown_timeout(Duration::from_secs(1));
            outcome
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("{}: {error:#}", S::ROLE), 1),
    }
}

#[expect(clippy::print_stdout, reason = "it is what the caller asked for")]
fn print_routes(routes: &[(String, String)]) -> ExitCode {
    match serde_json::to_string(routes) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error.to_string(), 1),
    }
}

#[expect(clippy::print_stderr, reason = "logging may not have started")]
fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(code)
}

async fn live<S: Service>(config: Config) -> anyhow::Result<()> {
    let instance = Uuid::new_v4();
    let logs = ganglion_telemetry::init(&config.log, S::ROLE, &instance.to_string())
        .map_err(anyhow::Error::msg)?;
    let logs = Arc::new(logs);
    metrics::install_recorder().map_err(anyhow::Error::msg)?;
    let listener = TcpListener::bind(config.admin.listen)
        .await
        .with_context(|| format!("admin.listen {}", config.admin.listen))?;
    let admin = listener.local_addr()?;
    let context = Context {
        config: Arc::new(config),
        instance,
        role: S::ROLE,
        clock: Clock::system(),
        readiness: Readiness::default(),
        drain: CancellationToken::new(),
        tasks: Tasks::new(),
        addresses: Addresses::default(),
    };
    let signals = signals(context.readiness.clone(), context.drain.clone())?;
    let port = tokio::spawn(crate::admin::serve(
        listener,
        context.readiness.clone(),
        logs.clone(),
    ));
    tracing::info!(role = S::ROLE, %instance, admin.address = %admin, "starting");
    let outcome = tokio::select! {
        outcome = serve::<S>(context, admin) => outcome,
        second = signals => Err(second),
    };
    tracing::info!(failed = outcome.is_err(), "ended");
    port.abort();
    logs.flush();
    outcome
}

async fn serve<S: Service>(context: Context, admin: std::net::SocketAddr) -> anyhow::Result<()> {
    let service = tokio::select! {
        built = S::build(context.clone()) => built?,
        () = context.drain.cancelled() => return Ok(()),
    };
    if let Some(path) = &context.config.admin.address_file {
        context
            .addresses
            .write(path, S::ROLE, context.instance, admin)
            .with_context(|| format!("admin.address_file {}", path.display()))?;
    }
    let limit = Duration::from_millis(context.config.cluster.drain_ms);
    let too_late = async {
        context.drain.cancelled().await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        outcome = async {
            service.run().await?;
            context.drain.cancel();
            context.tasks.ended().await;
            Ok(())
        } => outcome,
        () = context.tasks.failure() => anyhow::bail!("a background task failed"),
        () = too_late => anyhow::bail!("not drained within cluster.drain_ms"),
    }
}

/// The first SIGTERM or SIGINT begins the drain; the second ends the returned future.
fn signals(
    readiness: Readiness,
    drain: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("draining");
        readiness.set(false);
        drain.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        anyhow::anyhow!("a second signal: ended at once")
    })
}

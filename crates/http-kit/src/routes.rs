//! Which handler serves which path: the servers' route table.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::handler::Handler;
use axum::response::IntoResponse as _;
use axum::routing::{MethodFilter, MethodRouter};
use ganglion_model::MatrixError;
use http::Method;
use ruma::api::path_builder::PathBuilder as _;
use ruma::api::{IncomingRequest, Metadata};

use crate::error::ApiError;

/// Collects routes.
pub struct Routes<S> {
    paths: BTreeMap<String, MethodRouter<S>>,
    table: Vec<(Method, String)>,
    long_polls: Vec<String>,
    limited: BTreeSet<(String, String)>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            paths: BTreeMap::new(),
            table: Vec::new(),
            long_polls: Vec::new(),
            limited: BTreeSet::new(),
        }
    }

    /// Serves an endpoint at all its stable paths.
    pub fn ruma<R, H, T>(&mut self, handler: H)
    where
        R: IncomingRequest,
        H: Handler<T, S>,
        T: 'static,
    {
        for path in stable_paths::<R>() {
            self.note_limit::<R>(&path);
            self.at(<R as Metadata>::METHOD, &path, handler.clone());
        }
    }

    /// Serves an endpoint that parks its requests: neither the request timeout nor the limit of
    /// requests in work applies, but a limit of its own.
    pub fn ruma_long_poll<R, H, T>(&mut self, handler: H)
    where
        R: IncomingRequest,
        H: Handler<T, S>,
        T: 'static,
    {
        for path in stable_paths::<R>() {
            self.note_limit::<R>(&path);
            self.at(<R as Metadata>::METHOD, &path, handler.clone());
            self.long_polls.push(path);
        }
    }

    fn note_limit<R: Metadata>(&mut self, path: &str) {
        if R::RATE_LIMITED {
            let method = <R as Metadata>::METHOD.to_string();
            self.limited.insert((method, path.to_owned()));
        }
    }

    /// Whether the specification says of an endpoint that it is rate limited.
    #[must_use]
    pub fn is_limited(&self, method: &Method, path: &str) -> bool {
        self.limited
            .contains(&(method.to_string(), path.to_owned()))
    }

    /// Serves a path that ruma does not know, or only in another form.
    pub fn at<H, T>(&mut self, method: Method, path: &str, handler: H)
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let served = on(&method, handler);
        let merged = match self.paths.remove(path) {
            Some(there) => there.merge(served),
            None => served,
        };
        self.paths.insert(path.to_owned(), merged);
        self.table.push((method, path.to_owned()));
    }

    /// The paths whose requests are parked, for [`crate::Limits::new`].
    #[must_use]
    pub fn long_polls(&self) -> Vec<String> {
        self.long_polls.clone()
    }

    /// All routes: method and path template.
    #[must_use]
    pub fn table(&self) -> Vec<(Method, String)> {
        self.table.clone()
    }

    /// The router; an unknown path is 404, a wrong method 405, both `M_UNRECOGNIZED`.
    pub fn into_router(self) -> Router<S> {
        let mut router = Router::new();
        for (path, served) in self.paths {
            let wrong_method = || async {
                let message = "this endpoint has no such method";
                ApiError(MatrixError::new(405, "M_UNRECOGNIZED", message)).into_response()
            };
            router = router.route(&path, served.fallback(wrong_method));
        }
        router.fallback(|| async {
            ApiError(MatrixError::new(404, "M_UNRECOGNIZED", "no such endpoint")).into_response()
        })
    }
}

fn stable_paths<R: Metadata>() -> Vec<String> {
    let builder = R::PATH_BUILDER;
    builder
        .all_paths()
        .filter(|path| !path.contains("/unstable/"))
        .map(ToOwned::to_owned)
        .collect()
}

fn on<S, H, T>(method: &Method, handler: H) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
    H: Handler<T, S>,
    T: 'static,
{
    // Every method that a Matrix endpoint has; a method beyond them would be unreachable.
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::TRACE);
    axum::routing::on(filter, handler)
}

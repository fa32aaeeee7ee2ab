//! A device that syncs: its chain of tokens, and what it has learnt with each.

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::filter::Filter;
use super::history::History;
use super::judge::{Ask, Gap, Known, judge};
use super::world::Seq;
use crate::user::{User, enc};

/// A device.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    device: User,
    state_after: bool,
    /// Made when there are rooms to filter.
    filter: Option<(Filter, String)>,
    points: Vec<Point>,
}

/// A token, the places in the history that it may stand for, and what the client knows with it.
#[derive(Debug, Clone)]
struct Point {
    token: String,
    at: Vec<Seq>,
    known: Known,
}

/// One request.
struct Request {
    user: User,
    since: Option<Point>,
    query: String,
    full_state: bool,
}

impl Chain {
    pub(crate) fn new(device: User, state_after: bool) -> Self {
        Self {
            device,
            state_after,
            filter: None,
            points: Vec::new(),
        }
    }
}

impl History {
    /// A device syncs, perhaps more than once from the same token.
    pub(crate) async fn sync(&mut self) -> Result<(), String> {
        self.catch_up().await?;
        let number = self.rng.random_range(0..self.chains.len());
        self.choose_filter(number).await?;
        let points = self.chains[number].points.clone();
        let since = match self.rng.random_range(0..20) {
            0 => None,
            1..3 => points.choose(&mut self.rng).cloned(),
            _ => points.last().cloned(),
        };
        if let Some(since) = &since {
            let points = &mut self.chains[number].points;
            let at = points.iter().position(|point| point.token == since.token);
            points.truncate(at.map_or(0, |at| at + 1));
        } else {
            self.chains[number].points.clear();
        }
        let full_state = self.rng.random_bool(0.06);
        let first = self.ask(number, since.clone(), full_state).await?;
        let mut taken = first.clone();
        if self.rng.random_bool(0.25) {
            // A repetition, and whichever of the two answers arrives.
            if self.rng.random_bool(0.5) {
                self.note("(the answer is lost)");
                match self.rng.random_range(0..3) {
                    0 => self.say().await?,
                    1 => self.membership().await?,
                    _ => self.burst().await?,
                }
                self.catch_up().await?;
            }
            let again = self.ask(number, since, full_state).await?;
            if self.rng.random_bool(0.6) {
                taken = again;
            }
        }
        self.chains[number].points.push(taken);
        Ok(())
    }

    async fn choose_filter(&mut self, number: usize) -> Result<(), String> {
        if self.chains[number].filter.is_some() {
            return Ok(());
        }
        let users: Vec<String> = self.users.iter().map(|user| user[0].id.clone()).collect();
        let rooms: Vec<String> = self
            .world
            .rooms
            .iter()
            .map(|room| room.id.clone())
            .collect();
        let filter = Filter::random(&mut self.rng, &users, &rooms);
        let json = filter.json();
        let mut text = json.to_string();
        if self.rng.random_bool(0.3) {
            let device = &self.chains[number].device;
            let path = format!("/user/{}/filter", enc(&device.id));
            let reply = device.post(&path, json).await;
            let id = reply.body["filter_id"].as_str();
            text = id
                .ok_or_else(|| format!("no filter: {}", reply.body))?
                .to_owned();
        }
        self.chains[number].filter = Some((filter, text));
        Ok(())
    }

    /// A request and the judgement of its answer; where it leads.
    async fn ask(
        &mut self,
        number: usize,
        since: Option<Point>,
        full_state: bool,
    ) -> Result<Point, String> {
        let chain = self.chains[number].clone();
        let url = self.urls.choose(&mut self.rng).unwrap().clone();
        let (filter, text) = chain.filter.clone().ok_or("no filter")?;
        let request = Request {
            user: chain.device.at(&url),
            query: format!(
                "&filter={}&full_state={full_state}&use_state_after={}",
                enc(&text),
                chain.state_after
            ),
            since,
            full_state,
        };
        let before = self.world.clock;
        let answer = if request.since.is_some() && self.rng.random_bool(0.08) {
            self.parked(&request).await?
        } else {
            request.send(0).await?
        };
        self.stats.syncs += 1;
        let point = self.judged(&chain, &filter, &request, (before, &answer))?;
        let (point, gaps) = point;
        for gap in gaps {
            self.fill(&request, &filter, &gap).await?;
        }
        Ok(point)
    }

    /// A request that waits while somebody acts.
    async fn parked(&mut self, request: &Request) -> Result<Value, String> {
        let wait = request.send(if self.rng.random_bool(0.5) { 30 } else { 400 });
        let act = async {
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
            match self.rng.random_range(0..3) {
                0 => self.membership().await,
                1 => self.set_state().await,
                _ => self.say().await,
            }
        };
        let (answer, acted) = Box::pin(async { tokio::join!(wait, act) }).await;
        acted?;
        self.catch_up().await?;
        answer
    }

    fn judged(
        &mut self,
        chain: &Chain,
        filter: &Filter,
        request: &Request,
        (before, answer): (Seq, &Value),
    ) -> Result<(Point, Vec<Gap>), String> {
        let token = answer["next_batch"].as_str().unwrap_or_default().to_owned();
        let starts: Vec<Option<Seq>> = match &request.since {
            None => vec![None],
            Some(point) => point.at.iter().copied().map(Some).collect(),
        };
        let mut at = Vec::new();
        let mut best = None;
        let mut last = Vec::new();
        for now in (before..=self.world.clock).rev() {
            for since in &starts {
                let ask = Ask {
                    user: &chain.device.id,
                    device: &chain.device.device,
                    filter,
                    since: *since,
                    now,
                    full_state: request.full_state,
                    state_after: chain.state_after,
                };
                let mut known = request
                    .since
                    .as_ref()
                    .map(|s| s.known.clone())
                    .unwrap_or_default();
                let verdict = judge(&self.world, &ask, &mut known, answer);
                if verdict.complaints.is_empty() {
                    at.push(now);
                    best.get_or_insert((known, verdict));
                } else if last.is_empty() {
                    last = verdict.complaints;
                }
            }
        }
        let since = request.since.as_ref();
        let about = format!(
            "{} {} syncs from {:?} to {before}..={} at {}: filter {}{}{}",
            chain.device.id,
            chain.device.device,
            since.map(|since| since.at.clone()),
            self.world.clock,
            request.user.url,
            filter.json(),
            if request.full_state {
                ", full_state"
            } else {
                ""
            },
            if chain.state_after {
                ", use_state_after"
            } else {
                ""
            },
        );
        self.note(&about);
        at.dedup();
        let Some((known, verdict)) = best else {
            return Err(format!("{about}\n{}\n{answer:#}", last.join("\n")));
        };
        self.stats.events += verdict.events;
        Ok((Point { token, at, known }, verdict.gaps))
    }

    /// Follows `prev_batch` and compares what is found with what was left out.
    async fn fill(&mut self, request: &Request, filter: &Filter, gap: &Gap) -> Result<(), String> {
        let limit = self.rng.random_range(2..40);
        let mut wanted = filter.timeline.clone();
        wanted.limit = None;
        let since = request.since.as_ref().filter(|_| gap.to_since);
        let to = since
            .map(|since| format!("&to={}", since.token))
            .unwrap_or_default();
        let mut from = gap.prev_batch.clone();
        let mut found = Vec::new();
        loop {
            let url = self.urls.choose(&mut self.rng).unwrap();
            let path = format!(
                "/rooms/{}/messages?dir=b&limit={limit}&filter={}&from={from}{to}",
                enc(&gap.room),
                enc(&wanted.json().to_string())
            );
            let page = request.user.at(url).call(Method::GET, &path, None).await;
            if page.status != 200 {
                return Err(format!("{path}: {} {}", page.status, page.body));
            }
            self.stats.pages += 1;
            let chunk = page.body["chunk"].as_array().cloned().unwrap_or_default();
            found.extend(
                chunk
                    .iter()
                    .filter_map(|event| event["event_id"].as_str().map(str::to_owned)),
            );
            match page.body["end"].as_str() {
                Some(end) if end != from && found.len() <= gap.events.len() => {
                    end.clone_into(&mut from);
                }
                _ => break,
            }
        }
        found.reverse();
        self.stats.events += found.len();
        if found != gap.events {
            return Err(format!(
                "{} of {}: behind prev_batch are {found:?}, not {:?}",
                json!(gap.room),
                request.user.id,
                gap.events
            ));
        }
        Ok(())
    }
}

impl Request {
    async fn send(&self, timeout: u64) -> Result<Value, String> {
        let since = self
            .since
            .as_ref()
            .map(|point| format!("&since={}", point.token));
        let since = since.unwrap_or_default();
        let path = format!("/sync?timeout={timeout}{since}{}", self.query);
        for _ in 0..5 {
            let reply = self.user.get(&path).await;
            match reply.status {
                200 => return Ok(reply.body),
                // The machine is busy.
                429 | 503 => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
                status => return Err(format!("{path}: {status} {}", reply.body)),
            }
        }
        Err(format!("{path}: too busy"))
    }
}

//! From the servers' route tables to the balancer's rules.
//!
//! A rule is a path prefix, whole segments, and the role that serves what is below it; of several
//! that match the longest counts. There are as few as possible, and none takes paths of no route
//! from the default role, which answers those as the specification asks, except below a prefix all
//! of whose routes are one role's.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

/// What goes to which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// A path such as `/_matrix/media`: it and all below it.
    pub prefix: String,
    /// The role's name.
    pub role: String,
}

/// The fewest rules that send every route in `tables` (role name to path templates with
/// `{placeholders}`) to its role; the longest prefix first. What matches none is `default`'s.
///
/// # Errors
/// Prefixes cannot tell two roles apart: they have routes with the same text before the first
/// placeholder, or one that is not `default` has a route of `/` itself.
pub fn prefix_rules(
    tables: &BTreeMap<String, Vec<String>>,
    default: &str,
) -> anyhow::Result<Vec<Rule>> {
    let mut root = Node::default();
    for (role, paths) in tables {
        for path in paths {
            root.insert(role, path)?;
        }
    }
    if let Some((role, _)) = &root.route
        && role != default
    {
        bail!("{role} serves `/`, which is {default}'s");
    }
    let mut roles: BTreeSet<&str> = tables.keys().map(String::as_str).collect();
    roles.insert(default);
    let mut rules = Vec::new();
    for (segment, child) in &root.children {
        let below = root
            .route
            .as_ref()
            .filter(|(_, open)| *open)
            .map(|(role, _)| role.as_str());
        let plans = child.plans(&format!("/{segment}"), below, default, &roles);
        rules.extend(
            plans
                .into_iter()
                .find(|(role, _)| *role == default)
                .map(|(_, plan)| plan),
        );
    }
    let mut rules = rules.concat();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.matches('/').count()));
    Ok(rules)
}

/// The role that a balancer with these rules sends a path to.
#[must_use]
pub fn role_of<'a>(rules: &'a [Rule], default: &'a str, path: &str) -> &'a str {
    let matches = |rule: &&Rule| {
        path.strip_prefix(rule.prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    rules
        .iter()
        .find(matches)
        .map_or(default, |rule| rule.role.as_str())
}

/// A literal path, by segments.
#[derive(Default)]
struct Node {
    children: BTreeMap<String, Self>,
    /// Whose route begins with this literal path, and whether placeholders follow.
    route: Option<(String, bool)>,
}

impl Node {
    fn insert(&mut self, role: &str, path: &str) -> anyhow::Result<()> {
        let mut node = self;
        let mut open = false;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if segment.contains('{') {
                open = true;
                break;
            }
            node = node.children.entry(segment.to_owned()).or_default();
        }
        match &mut node.route {
            Some((other, _)) if other != role => {
                bail!("prefixes cannot tell {role}'s `{path}` from a route of {other}")
            }
            Some((_, was_open)) => *was_open |= open,
            none => *none = Some((role.to_owned(), open)),
        }
        Ok(())
    }

    /// Whether all routes from here on are `role`'s.
    fn is_all(&self, role: &str) -> bool {
        self.route.as_ref().is_none_or(|(own, _)| own == role)
            && self.children.values().all(|child| child.is_all(role))
    }

    /// The best rules from here on, for each role that the nearest rule above may name. `needed` is
    /// the role with placeholders above, which may stand for any segment from here on.
    fn plans<'a>(
        &'a self,
        prefix: &str,
        needed: Option<&'a str>,
        default: &str,
        roles: &BTreeSet<&'a str>,
    ) -> Vec<(&'a str, Vec<Rule>)> {
        let own = self.route.as_ref().map(|(role, _)| role.as_str());
        let here = own.or(needed);
        let below = match &self.route {
            Some((role, true)) => Some(role.as_str()),
            _ => needed,
        };
        let mut best: BTreeMap<&str, Vec<Rule>> =
            roles.iter().map(|role| (*role, Vec::new())).collect();
        for (segment, child) in &self.children {
            for (role, plan) in child.plans(&format!("{prefix}/{segment}"), below, default, roles) {
                best.entry(role).or_default().extend(plan);
            }
        }
        let may_stand = |role: &str| {
            here.map_or_else(
                || role == default || self.is_all(role),
                |needed| needed == role,
            )
        };
        let fewest = best
            .iter()
            .filter(|(role, _)| may_stand(role))
            .min_by_key(|(_, plan)| plan.len())
            .map(|(role, plan)| {
                let rule = Rule {
                    prefix: prefix.to_owned(),
                    role: (*role).to_owned(),
                };
                std::iter::once(rule)
                    .chain(plan.iter().cloned())
                    .collect::<Vec<_>>()
            });
        best.into_iter()
            .map(|(role, inherited)| match &fewest {
                // As deep as possible where it costs nothing: fewer unknown paths are taken along.
                Some(anew) if here.is_some_and(|needed| needed != role) => (role, anew.clone()),
                Some(anew) if anew.len() < inherited.len() => (role, anew.clone()),
                _ => (role, inherited),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;

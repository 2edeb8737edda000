//! Messages that came and that no step has received yet, and which of them a step means.

use std::collections::VecDeque;

const MOST_WAITING: usize = 1_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub user: Vec<(String, String)>,
}

/// Bounded: what is pushed out is counted in `dropped`, until somebody says so.
pub struct Inbox {
    messages: VecDeque<Arrived>,
    most_bytes: usize,
    bytes: usize,
    /// How many came so far.
    pub arrived: u64,
    pub dropped: u64,
}

impl Inbox {
    pub fn new(most_bytes: usize) -> Self {
        Inbox { messages: VecDeque::new(), most_bytes, bytes: 0, arrived: 0, dropped: 0 }
    }

    pub fn put(&mut self, message: Arrived) {
        self.arrived += 1;
        self.bytes += message.payload.len();
        self.messages.push_back(message);
        while self.messages.len() > MOST_WAITING || (self.bytes > self.most_bytes && self.messages.len() > 1) {
            self.remove(0);
            self.dropped += 1;
        }
    }

    /// The oldest message whose topic matches the filter; "" takes any. `after`: how many had come when none of them matched.
    pub fn take(&mut self, filter: &str, after: u64) -> Option<Arrived> {
        let new = (self.arrived - after).min(self.messages.len() as u64) as usize;
        let from = self.messages.len() - new;
        let at = (from..self.messages.len()).find(|at| filter.is_empty() || matches(filter, &self.messages[*at].topic))?;
        self.remove(at)
    }

    fn remove(&mut self, at: usize) -> Option<Arrived> {
        let message = self.messages.remove(at)?;
        self.bytes -= message.payload.len();
        Some(message)
    }
}

/// MQTT 5 section 4.7.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_means_the_topics_of_the_standard() {
        for (filter, topic, wanted) in [
            ("a", "a", true),
            ("a", "a/b", false),
            ("a/b", "a", false),
            ("a/+", "a/b", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("a/+/c", "a/b/c", true),
            ("+/+", "/a", true),
            ("+", "/a", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("", "", true),
        ] {
            assert_eq!(matches(filter, topic), wanted, "{filter} {topic}");
        }
    }

    #[test]
    fn what_waits_is_bounded_and_taken_in_its_order() {
        let message = |topic: &str, size| Arrived { topic: topic.into(), payload: vec![0; size], qos: 0, retain: false, user: vec![] };
        let mut inbox = Inbox::new(10);
        for (topic, size) in [("a", 4), ("b", 4), ("a", 4)] {
            inbox.put(message(topic, size));
        }
        assert_eq!((inbox.arrived, inbox.dropped, inbox.bytes), (3, 1, 8));
        assert_eq!(inbox.take("c", 0), None);
        assert_eq!(inbox.take("a", 3), None, "none came since");
        assert_eq!(inbox.take("a", 2), Some(message("a", 4)));
        assert_eq!(inbox.take("", 0), Some(message("b", 4)));
        inbox.put(message("large", 100));
        assert_eq!(inbox.take("", 3), Some(message("large", 100)), "one message is kept however large it is");
        for _ in 0..=MOST_WAITING {
            inbox.put(message("a", 0));
        }
        assert_eq!((inbox.messages.len(), inbox.dropped), (MOST_WAITING, 2));
    }
}

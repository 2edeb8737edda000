//! A client without a loop: what it orders, and what it sends.

use _native::protocols::Link;
use _native::protocols::orders::{Lost, Observed, Order, Orders, Reply};
use proptest::prelude::ProptestConfig;

/// How many values a property is asked with: `make fuzz-protocols` asks for many.
pub fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usual), failure_persistence: None, ..ProptestConfig::default() }
}

/// What a client ordered, by kind.
#[derive(Debug, Default)]
pub struct Ordered {
    pub opened: Vec<Link>,
    pub sent: Vec<u8>,
    pub closed: Vec<Link>,
    pub ended: Vec<Result<Reply, Lost>>,
    /// Whose hits ended.
    pub enders: Vec<u32>,
    pub observed: Vec<Observed>,
    pub again: bool,
}

pub fn ordered(orders: &mut Orders) -> Ordered {
    let mut found = Ordered::default();
    while let Some(order) = orders.take() {
        match order {
            Order::Open { link, .. } => found.opened.push(link),
            Order::Send(_, range) => found.sent.extend_from_slice(orders.bytes(range)),
            Order::Close(link) => found.closed.push(link),
            Order::End(user, result) => {
                found.enders.push(user);
                found.ended.push(result);
            }
            Order::Observed(observed) => found.observed.push(observed),
            Order::Again(_) => found.again = true,
            Order::TellSent(_) | Order::Listen(..) => {}
        }
    }
    found
}

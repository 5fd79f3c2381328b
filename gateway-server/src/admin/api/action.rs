//! What an operation asks of the gateway.

use gateway_wire::bridge::{Order, Query};

pub(super) enum Action<'a> {
    Order(Order<'a>),
    Query(Query<'a>),
    /// An order, and the query about what has become of it.
    Tracked(Order<'a>, Query<'a>),
}

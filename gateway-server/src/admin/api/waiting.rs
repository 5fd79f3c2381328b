//! A request that waits for the answers of pages.

use gateway_wire::bridge::{AnswerValue, Order, Query};
use hyper::StatusCode;

use super::Run;
use crate::admin::answer::Refusal;

impl Run<'_> {
    /// Asks pages, and waits for their answers. Meanwhile others may have the turn of this request, and an upgrade does not wait
    /// for it.
    pub(super) async fn answers(
        &mut self,
        order: &Order<'_>,
        query: &Query<'_>,
    ) -> Result<(AnswerValue, usize), Refusal> {
        let operations = self.operations;
        let unavailable = |code, message: &str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        let _asking = operations.asking.try_acquire().map_err(|_| {
            unavailable("busy", "very many questions wait for the answers of pages: ask again later")
        })?;
        self.order(order).await?;
        self.turn = None;
        let answers = tokio::select! {
            biased;
            answers = operations.backend.gateway.query_value(query) => answers?,
            () = operations.rest_wanted.wanted() => {
                return Err(unavailable(
                    "upgrading",
                    "another process takes over from this one, so the answers of pages are not waited for; the question was sent",
                ));
            }
        };
        self.turn = operations.large.acquire().await.ok();
        Ok(answers)
    }
}

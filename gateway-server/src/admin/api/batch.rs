//! `POST /api/batch`: several operations in one request, one after the other.

use serde_json::{Value, json};

use super::Run;
use crate::admin::answer::Refusal;

/// Number of operations that one request may hold.
pub(super) const MAX_CALLS: usize = 1000;

impl Run<'_> {
    /// Carries out all operations in order. Each has a result or an error of its own, and an error does not stop the ones behind
    /// it.
    pub(super) async fn batch(&mut self, body: &Value) -> Result<Value, Refusal> {
        let calls = body.as_array().ok_or_else(|| {
            Refusal::invalid("a batch is a list, as [{\"operation\": \"sendToUid\", \"arguments\": {…}}]")
        })?;
        if calls.len() > MAX_CALLS {
            return Err(Refusal::invalid(format!(
                "a batch has {MAX_CALLS} operations at most, not {}",
                calls.len()
            )));
        }
        let mut results = Vec::with_capacity(calls.len());
        for call in calls {
            results.push(match self.call(call).await {
                Ok(result) => result,
                Err(refusal) => refusal.to_json(),
            });
        }
        Ok(json!({"results": results}))
    }

    async fn call(&mut self, call: &Value) -> Result<Value, Refusal> {
        let Some(name) = call["operation"].as_str() else {
            return Err(Refusal::invalid("an item of a batch needs \"operation\", the name of one"));
        };
        match call.get("arguments") {
            Some(arguments) => self.one(name, arguments).await,
            None => self.one(name, &json!({})).await,
        }
    }
}

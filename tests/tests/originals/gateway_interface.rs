//! The interface of the composer package `gateway` by GatewayClient, with GatewayWorker's own processes behind it.

use gateway_tests::{GatewayContract, OriginalStack, skip};

#[tokio::test]
async fn the_interface_by_gatewayclient_and_gatewayworker() -> anyhow::Result<()> {
    if let Some(missing) = OriginalStack::missing().or(GatewayContract::missing()?) {
        skip("the_interface_by_gatewayclient_and_gatewayworker", &missing);
        return Ok(());
    }
    let stack = OriginalStack::start().await?;
    let dsn = format!("gatewayclient://{}?tokenKey=a-key-of-tokens", stack.register);
    let contract = GatewayContract::run(&dsn, stack.websocket).await?;
    assert_eq!(contract.class, r"PushGateway\GatewayClientGateway");
    assert_eq!(contract.unsupported.len(), 11, "{:?}", contract.unsupported);
    Ok(())
}

//! The page with the widget as people see it: in light and dark, on a telephone, and in Chinese.

use gateway_tests::{Browser, View, page_language, shows_chinese};

use super::widget::{Stage, on_yii2, state_is};

#[tokio::test]
async fn the_widget() -> anyhow::Result<()> {
    on_yii2("the_widget", async || {
        let stage = Stage::set(true).await?;
        let browser = Browser::start().await?;
        let page = stage.page(&browser).await?;
        for view in View::ALL {
            view.of(&page).await?;
            page.reload().await?;
            let is_chinese = view.language == "zh-CN";
            state_is(&page, "open", if is_chinese { "已连接" } else { "connected" }).await?;
            stage.push("早上好！今天的会议改到下午三点。").await?;
            stage.push("Your order is on its way.").await?;
            page.shows("#count", &["2"]).await?;
            view.picture(&page, "widget").await?;
            shows_chinese(&page, "#pushed").await?;
            assert_eq!(page_language(&page).await?, view.language);
            if is_chinese {
                shows_chinese(&page, ".gateway-state").await?;
                shows_chinese(&page, "h2").await?;
            }
        }
        Ok(())
    })
    .await
}

//! Pictures of pages, as people with other windows, other languages and dark themes see them; they stay in `target/screenshots/` to be looked
//! at.

use std::collections::HashMap;
use std::io::Cursor;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::Tab;

/// How somebody looks at a page.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The end of the picture's name.
    pub name: &'static str,
    /// The width of the window, in pixels of CSS.
    pub width: u32,
    pub is_dark: bool,
    /// The language that the browser asks for, as in `Accept-Language`.
    pub language: &'static str,
}

impl View {
    pub const LIGHT: Self = Self { name: "light", width: 1200, is_dark: false, language: "en-US" };
    pub const DARK: Self = Self { name: "dark", is_dark: true, ..Self::LIGHT };
    /// A small telephone.
    pub const NARROW: Self = Self { name: "narrow", width: 360, ..Self::LIGHT };
    pub const CHINESE: Self = Self { name: "chinese", language: "zh-CN", ..Self::LIGHT };
    pub const CHINESE_DARK_NARROW: Self =
        Self { name: "chinese-dark-narrow", is_dark: true, width: 360, ..Self::CHINESE };
    pub const ALL: [Self; 5] =
        [Self::LIGHT, Self::DARK, Self::NARROW, Self::CHINESE, Self::CHINESE_DARK_NARROW];

    /// Whether the window is that of a telephone, which shows pages as wide as a desk unless they say how wide they are.
    fn is_mobile(&self) -> bool {
        self.width < 600
    }

    /// Has the tab's next pages seen so.
    pub async fn of(&self, tab: &Tab) -> anyhow::Result<()> {
        self.resize(tab, 800).await?;
        let scheme = if self.is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        tab.developer_command("Emulation.setEmulatedMedia", json!({ "features": features })).await?;
        let agent = tab.script("return navigator.userAgent", vec![]).await?;
        let language = json!({ "userAgent": agent, "acceptLanguage": self.language });
        tab.developer_command("Emulation.setUserAgentOverride", language).await
    }

    async fn resize(&self, tab: &Tab, height: u64) -> anyhow::Result<()> {
        let size = json!({ "width": self.width, "height": height, "deviceScaleFactor": 1, "mobile": self.is_mobile() });
        tab.developer_command("Emulation.setDeviceMetricsOverride", size).await
    }

    /// Takes a picture of the whole page, keeps it as `target/screenshots/PAGE-NAME.png`, and checks that it is as wide as the window, that
    /// nothing on the page is wider, that it shows something, and that it is light or dark.
    pub async fn picture(&self, tab: &Tab, page: &str) -> anyhow::Result<Picture> {
        let height = tab.script("return document.documentElement.scrollHeight", vec![]).await?;
        self.resize(tab, height.as_u64().context("a height")?.clamp(400, 6000)).await?;
        let image = tab.screenshot().await?;
        let folder = std::env::current_exe()?;
        let folder = folder.ancestors().nth(3).context("the test has no target folder")?.join("screenshots");
        std::fs::create_dir_all(&folder)?;
        let name = format!("{page}-{}", self.name);
        std::fs::write(folder.join(format!("{name}.png")), &image)?;
        let picture = Picture::of(&image).with_context(|| name.clone())?;

        ensure!(picture.width == self.width, "{name} is {} pixels wide", picture.width);
        let wide = tab.script(WIDER_THAN_THE_WINDOW, vec![self.width.into()]).await?;
        ensure!(wide == json!([]), "{name} scrolls sideways because of {wide}");
        ensure!(picture.colours > 20 && picture.ground < 0.98, "{name} is blank: {picture:?}");
        let is_dark = picture.brightness < 0.35;
        ensure!(is_dark || picture.brightness > 0.65, "{name} is neither light nor dark: {picture:?}");
        ensure!(is_dark == self.is_dark, "{name} has the other theme: {picture:?}");
        Ok(picture)
    }
}

/// Names the elements that make the page wider than its window. A telephone shows a page that does not say how wide it is as if it had a
/// desk's screen.
const WIDER_THAN_THE_WINDOW: &str = "
    const {scrollWidth, clientWidth} = document.documentElement;
    if (scrollWidth <= clientWidth && clientWidth <= arguments[0]) return [];
    return [`${scrollWidth} of ${clientWidth} pixels`, ...[...document.querySelectorAll('body *')]
        .filter((each) => each.getBoundingClientRect().right > clientWidth)
        .map((each) => each.outerHTML.slice(0, 80))];";

/// What a picture shows, as figures.
#[derive(Debug)]
pub struct Picture {
    pub width: u32,
    /// How many colours there are.
    pub colours: usize,
    /// The part of the picture that has its commonest colour, from 0 to 1.
    pub ground: f64,
    /// The mean brightness, from 0, which is black, to 1.
    pub brightness: f64,
}

impl Picture {
    fn of(image: &[u8]) -> anyhow::Result<Self> {
        let mut decoder = png::Decoder::new(Cursor::new(image));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
        let mut reader = decoder.read_info()?;
        let mut pixels = vec![0; reader.output_buffer_size().context("a picture of a known size")?];
        let info = reader.next_frame(&mut pixels)?;
        let samples = info.color_type.samples();
        ensure!(samples >= 3, "the picture has no colours");
        let mut counts: HashMap<[u8; 3], u64> = HashMap::new();
        for pixel in pixels[..info.buffer_size()].chunks_exact(samples) {
            *counts.entry([pixel[0], pixel[1], pixel[2]]).or_default() += 1;
        }
        let all = f64::from(info.width) * f64::from(info.height);
        let share = |count: u64| count as f64 / all;
        let brightness = counts
            .iter()
            .map(|(&[red, green, blue], &count)| {
                // The weights of ITU-R BT.601.
                let one = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
                one / 255.0 * share(count)
            })
            .sum();
        let ground = share(counts.values().copied().max().unwrap_or_default());
        Ok(Self { width: info.width, colours: counts.len(), ground, brightness })
    }
}

/// Checks that the browser has a font that shows the Chinese characters of the element's text, in the element's own style: each has a width,
/// and no two of them look the same, as the boxes do that stand for what no font has.
pub async fn shows_chinese(tab: &Tab, selector: &str) -> anyhow::Result<()> {
    let script = "
        const element = document.querySelector(arguments[0]);
        const characters = [...new Set(element.textContent.match(/\\p{Script=Han}/gu))];
        const {fontFamily, fontWeight} = getComputedStyle(element);
        const context = new OffscreenCanvas(48, 48).getContext('2d', {willReadFrequently: true});
        context.font = `${fontWeight} 32px ${fontFamily}`;
        const looks = characters.map((character) => {
            context.clearRect(0, 0, 48, 48);
            context.fillText(character, 4, 36);
            return context.getImageData(0, 0, 48, 48).data.join();
        });
        return [characters.length, new Set(looks).size,
            Math.min(...characters.map((character) => context.measureText(character).width))];";
    let told = tab.script(script, vec![selector.into()]).await?;
    let [characters, looks, width] = [0, 1, 2].map(|at| told[at].as_f64().unwrap_or_default());
    ensure!(characters > 1.0, "{selector} shows no Chinese");
    ensure!(
        looks == characters && width > 16.0,
        "of {characters} Chinese characters in {selector} {looks} look like themselves, the narrowest is {width} of 32 \
         pixels wide: a Chinese font is missing (Debian package fonts-wqy-microhei, which `make test` installs)"
    );
    Ok(())
}

/// Gives the language in which the page says that it speaks.
pub async fn page_language(tab: &Tab) -> anyhow::Result<Value> {
    tab.script("return document.documentElement.lang", vec![]).await
}

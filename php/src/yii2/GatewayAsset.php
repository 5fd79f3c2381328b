<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use yii\web\AssetBundle;

/** The browser client: it sets `window.Gateway`. */
class GatewayAsset extends AssetBundle
{
    public $js = ['gateway.global.js', 'gateway.yii.js'];

    public $publishOptions = ['only' => ['gateway.global.js', 'gateway.yii.js']];

    public function init(): void
    {
        $this->sourcePath ??= dirname(__DIR__, 2) . '/client';
        parent::init();
    }

    public function registerAssetFiles($view): void
    {
        // As Yii gives it to scripts within the page.
        $nonce = $view->scriptOptions['nonce'] ?? null;
        if ($nonce !== null) {
            $this->jsOptions += ['nonce' => $nonce];
        }
        parent::registerAssetFiles($view);
    }
}

<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use yii\web\AssetBundle;

/** The browser client, which sets `window.Gateway`, and the script that starts it for the widget. */
class GatewayAsset extends AssetBundle
{
    public $js = ['gateway.global.js', 'gateway.yii.js'];

    public $publishOptions = ['only' => ['gateway.global.js', 'gateway.yii.js']];

    public function init(): void
    {
        $this->sourcePath ??= dirname(__DIR__) . '/assets';
        parent::init();
    }

    public function registerAssetFiles($view): void
    {
        // Yii puts the nonce on scripts within the page alone.
        $nonce = $view->scriptOptions['nonce'] ?? null;
        if ($nonce !== null) {
            $this->jsOptions += ['nonce' => $nonce];
        }
        parent::registerAssetFiles($view);
    }
}

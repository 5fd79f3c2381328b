<?php

declare(strict_types=1);

namespace app\assets;

use yii\web\AssetBundle;

/** The style of the page with the widget, which brings its own script. */
class LiveAsset extends AssetBundle
{
    public $sourcePath = '@app/../shared';
    public $css = ['demo.css'];
}

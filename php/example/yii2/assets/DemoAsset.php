<?php

declare(strict_types=1);

namespace app\assets;

use yii\web\AssetBundle;
use yii\web\YiiAsset;

/** The style and script that both front ends share. They come after yii.js, which adds the CSRF token to ajax calls. */
class DemoAsset extends AssetBundle
{
    public $sourcePath = '@app/../shared';
    public $css = ['demo.css'];
    public $js = ['demo.js'];
    public $depends = [YiiAsset::class];
}

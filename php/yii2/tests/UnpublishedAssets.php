<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

/** Publishes no assets, so that tests write no files. */
final class UnpublishedAssets extends \yii\web\AssetManager
{
    public function init(): void
    {
    }

    public function publish($path, $options = []): array
    {
        return [$path, '/assets/' . basename($path)];
    }
}

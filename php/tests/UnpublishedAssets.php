<?php

declare(strict_types=1);

namespace PushGateway\Tests;

/** Assets stay where they are. */
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

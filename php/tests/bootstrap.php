<?php

declare(strict_types=1);

// Loads the package on a real Yii 2, which YII2_PATH names or a vendor directory has.

define('YII_DEBUG', true);
require __DIR__ . '/../example/yii2/bootstrap.php';
Yii::setAlias('@PushGateway/Yii2', __DIR__ . '/../src/yii2');
Yii::setAlias('@PushGateway/Webhook', __DIR__ . '/../src/webhook');
Yii::setAlias('@PushGateway/Worker', __DIR__ . '/../src/worker');
$classes = ['TestCase', 'Visitor', 'UnpublishedAssets', 'OldClient', 'PrintedController', 'SignedWebhook', 'PostedWebhook'];
foreach ([...$classes, 'WebhookController'] as $class) {
    require __DIR__ . "/$class.php";
}

<?php

declare(strict_types=1);

// Loads the package on a real Yii 2, which YII2_PATH names or a vendor directory has.

define('YII_DEBUG', true);
require __DIR__ . '/../example/yii2/bootstrap.php';
Yii::setAlias('@PushGateway/Yii2', __DIR__ . '/../src/yii2');
Yii::setAlias('@PushGateway/Worker', __DIR__ . '/../src/worker');
foreach (['TestCase', 'Visitor', 'UnpublishedAssets', 'OldClient', 'PrintedController'] as $class) {
    require __DIR__ . "/$class.php";
}

<?php

declare(strict_types=1);

// The console application: `php php/example/yii2/yii gateway/send '{"type":"hello"}' --uid=1`.

/** @var string $vendor the vendor directory, which may not exist */
/** @var string $data the directory for all that is written */

return [
    'id' => 'push-gateway-demo-console',
    'basePath' => dirname(__DIR__),
    'vendorPath' => $vendor,
    'runtimePath' => "$data/runtime",
    'controllerNamespace' => 'app\commands',
    // Composer sets both aliases where it has installed the package.
    'aliases' => [
        '@PushGateway' => dirname(__DIR__, 3) . '/gateway/src',
        '@PushGateway/Yii2' => dirname(__DIR__, 3) . '/yii2/src',
        '@PushGateway/Worker' => dirname(__DIR__, 3) . '/worker/src',
    ],
    'bootstrap' => ['log', PushGateway\Yii2\Bootstrap::class],
    'components' => [
        'gateway' => require __DIR__ . '/gateway.php',
        'log' => [
            'targets' => [
                ['class' => yii\log\FileTarget::class, 'levels' => ['error', 'warning'], 'logVars' => []],
            ],
        ],
    ],
];

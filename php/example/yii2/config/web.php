<?php

declare(strict_types=1);

use app\models\User;
use yii\log\FileTarget;
use yii\web\JqueryAsset;

/** @var string $vendor the vendor directory, which may not exist */
/** @var string $data the directory for all that is written */

return [
    'id' => 'push-gateway-demo',
    'name' => 'Push gateway',
    'basePath' => dirname(__DIR__),
    'vendorPath' => $vendor,
    'runtimePath' => "$data/runtime",
    'aliases' => [
        '@bower' => '@vendor/bower-asset',
        '@npm' => '@vendor/npm-asset',
        // Composer sets this alias where it has installed the package.
        '@PushGateway' => dirname(__DIR__, 3) . '/gateway/src',
        '@PushGateway/Yii2' => dirname(__DIR__, 3) . '/yii2/src',
    ],
    'bootstrap' => ['log'],
    // The page and the widget on it speak the language that the browser asks for.
    'on beforeRequest' => static function () {
        Yii::$app->language = Yii::$app->request->getPreferredLanguage(['en-US', 'zh-CN']);
    },
    'components' => [
        'gateway' => require __DIR__ . '/gateway.php',
        'request' => [
            'cookieValidationKey' => require __DIR__ . '/key.php',
        ],
        'session' => [
            'name' => 'push-gateway-demo-yii2',
            'savePath' => example\writableDirectory("$data/sessions"),
            'cookieParams' => ['httponly' => true, 'samesite' => 'Lax'],
        ],
        'user' => [
            'identityClass' => User::class,
            'loginUrl' => ['site/index'],
        ],
        'db' => [
            'class' => yii\db\Connection::class,
            'dsn' => "sqlite:$data/demo.sqlite",
            'on afterOpen' => static fn ($event) => example\prepareDatabase($event->sender->pdo),
        ],
        'assetManager' => [
            'basePath' => example\writableDirectory("$data/assets"),
            'baseUrl' => '/assets',
            // A link exists at once, whereas another PHP worker could find a copy unfinished.
            'linkAssets' => true,
            'bundles' => is_dir("$vendor/bower-asset/jquery") ? [] : [
                JqueryAsset::class => ['sourcePath' => example\jqueryDirectory(), 'js' => ['jquery.min.js']],
            ],
        ],
        'urlManager' => [
            'enablePrettyUrl' => true,
            'showScriptName' => false,
            'cache' => false,
            'rules' => [
                '' => 'site/index',
                'live' => 'live/index',
                'live/<action:[\w-]+>' => 'live/<action>',
                '<action:[\w-]+>' => 'site/<action>',
            ],
        ],
        'errorHandler' => ['errorAction' => 'site/error'],
        'log' => [
            'targets' => [
                ['class' => FileTarget::class, 'levels' => ['error', 'warning'], 'logVars' => []],
            ],
        ],
    ],
];

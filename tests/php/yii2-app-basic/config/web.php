<?php

return [
    'id' => 'stand-in-web',
    'basePath' => dirname(__DIR__),
    'bootstrap' => ['log'],
    'controllerNamespace' => 'app\\controllers',
    'components' => [
        'request' => ['cookieValidationKey' => 'of a test'],
        'user' => ['identityClass' => \app\models\User::class, 'enableAutoLogin' => true],
        'errorHandler' => ['errorAction' => 'site/error'],
        'log' => [
            'targets' => [
                ['class' => \yii\log\FileTarget::class, 'levels' => ['error', 'warning']],
            ],
        ],
    ],
];

<?php

declare(strict_types=1);

// Takes webhooks as an application on PHP's own web server, and answers with what the handlers were given.

namespace PushGateway\Yii2\Tests;

use PushGateway\Test\SignedWebhook;
use PushGateway\Yii2\WebhookAction;
use Yii;

require __DIR__ . '/bootstrap.php';

$application = new \yii\web\Application([
    'id' => 'webhook',
    'basePath' => __DIR__,
    'runtimePath' => sys_get_temp_dir(),
    'controllerMap' => ['webhook' => [
        'class' => WebhookController::class,
        'settings' => [
            'class' => WebhookAction::class,
            'secret' => SignedWebhook::SECRET,
            'onReceipt' => fn (array $receipts) => header('X-Receipts: ' . count($receipts)),
            'onUndelivered' => fn (string $uid, string $id) => header("X-Undelivered: $uid $id"),
        ],
    ]],
    'catchAll' => ['webhook/receive'],
    // PHP's web server does not say it for a script in a folder whose name has a dot.
    'components' => ['request' => ['cookieValidationKey' => 'x', 'scriptUrl' => '/index.php']],
]);
$application->run();

<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Yii2\WebhookAction;
use yii\web\Request;

/** The action without a web server, which would have the body of the request. */
final class PostedWebhook extends WebhookAction
{
    public string $posted = '';

    protected function body(Request $request): string
    {
        return $this->posted;
    }
}

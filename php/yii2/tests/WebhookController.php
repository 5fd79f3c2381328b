<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use yii\web\Controller;

/** A controller of an application that has the action. */
final class WebhookController extends Controller
{
    /** @var array<string, mixed> */
    public array $settings = [];

    public function actions(): array
    {
        return ['receive' => $this->settings + ['class' => PostedWebhook::class]];
    }
}

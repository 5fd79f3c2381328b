<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use Yii;
use yii\base\Action;
use yii\base\InvalidCallException;
use yii\base\InvalidConfigException;
use yii\di\Instance;
use yii\web\Application;
use yii\web\Controller;
use yii\web\ForbiddenHttpException;
use yii\web\MethodNotAllowedHttpException;
use yii\web\Response;

/**
 * The base of actions that the page of a logged-in user posts to.
 *
 * @property Controller $controller
 */
abstract class GatewayAction extends Action
{
    /** @var Gateway|array<string, mixed>|string the component, or its id */
    public Gateway|array|string $gateway = 'gateway';

    public function init(): void
    {
        parent::init();
        $this->gateway = Instance::ensure($this->gateway, Gateway::class);
    }

    protected function gateway(): Gateway
    {
        return $this->gateway instanceof Gateway
            ? $this->gateway
            : throw new InvalidConfigException(static::class . '::$gateway is no component.');
    }

    protected function app(): Application
    {
        return Yii::$app instanceof Application
            ? Yii::$app
            : throw new InvalidCallException(static::class . ' is for controllers of web applications.');
    }

    /** Returns the id of the user who is logged in. Throws for guests, and for requests other than POST. */
    protected function userId(string $needsPost): string|int
    {
        $app = $this->app();
        if (!$app->getRequest()->getIsPost()) {
            $app->getResponse()->getHeaders()->set('Allow', 'POST');
            throw new MethodNotAllowedHttpException($needsPost);
        }

        return $app->getUser()->getId() ?? throw new ForbiddenHttpException(Translation::t('Nobody is logged in.'));
    }

    /** @param array<string, mixed> $data */
    protected function json(array $data): Response
    {
        $response = $this->controller->asJson($data);
        $response->getHeaders()->set('Cache-Control', 'no-store');

        return $response;
    }
}

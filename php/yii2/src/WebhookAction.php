<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use PushGateway\Webhook\Failure;
use PushGateway\Webhook\Notices;
use PushGateway\Webhook\Webhook;
use PushGateway\Webhook\WebhookException;
use Yii;
use yii\base\Action;
use yii\base\InvalidCallException;
use yii\base\InvalidConfigException;
use yii\web\Application;
use yii\web\BadRequestHttpException;
use yii\web\Controller;
use yii\web\MethodNotAllowedHttpException;
use yii\web\Request;
use yii\web\Response;
use yii\web\ServerErrorHttpException;
use yii\web\UnauthorizedHttpException;

/**
 * Takes the notices of the inbox that the gateway posts:
 *
 *     public function actions()
 *     {
 *         return ['webhook' => [
 *             'class' => \PushGateway\Yii2\WebhookAction::class,
 *             'secret' => $secret,
 *             'onReceipt' => function (array $receipts) { … },
 *             'onUndelivered' => fn (string $uid, string $id) => Mail::remind($uid, $id),
 *         ]];
 *     }
 *
 * What is not answered with success comes again, so that notices may come more than once.
 *
 * @property Controller $controller
 */
class WebhookAction extends Action
{
    /** @var string|array<string> the secret of the gateway's webhooks; the old one and the new one while it is being changed */
    public string|array $secret = [];

    /**
     * Is given all receipts of a webhook at once: lists of `uid`, `id`, `device`, `signed`, `event` and `at`.
     *
     * @var (callable(list<array{uid: string, id: string, device: string, signed: bool, event: string, at: int}>): mixed)|null
     */
    public $onReceipt = null;

    /** @var (callable(string, string): mixed)|null is given the uid and the id of each message that no device had in time */
    public $onUndelivered = null;

    private Webhook $webhook;

    public function init(): void
    {
        parent::init();
        try {
            $this->webhook = new Webhook($this->secret);
        } catch (\InvalidArgumentException $e) {
            throw new InvalidConfigException(static::class . "::\$secret: {$e->getMessage()}", 0, $e);
        }
        foreach (['onReceipt' => $this->onReceipt, 'onUndelivered' => $this->onUndelivered] as $name => $handler) {
            if ($handler !== null && !is_callable($handler)) {
                throw new InvalidConfigException(static::class . "::\$$name cannot be called.");
            }
        }
        // The gateway has no page with a token against CSRF: its signature says who it is. The action is made before Yii looks.
        $this->controller->enableCsrfValidation = false;
    }

    public function run(): Response
    {
        $app = Yii::$app;
        if (!$app instanceof Application) {
            throw new InvalidCallException(static::class . ' is for controllers of web applications.');
        }
        if (!$app->getRequest()->getIsPost()) {
            $app->getResponse()->getHeaders()->set('Allow', 'POST');
            throw new MethodNotAllowedHttpException('A webhook is posted.');
        }
        $this->handle($this->notices($app->getRequest()));
        $response = $app->getResponse();
        $response->setStatusCode(204);
        $response->content = '';

        return $response;
    }

    private function notices(Request $request): Notices
    {
        try {
            return $this->webhook->verify($this->body($request), $request->getHeaders()->toArray());
        } catch (WebhookException $e) {
            Yii::warning($e->getMessage(), __METHOD__);
            throw $e->failure === Failure::BadBody
                ? new BadRequestHttpException($e->getMessage(), 0, $e)
                : new UnauthorizedHttpException($e->getMessage(), 0, $e);
        }
    }

    /** The body of a request, of which no more is read than it takes to see that it is too long. */
    protected function body(Request $request): string
    {
        return (string) file_get_contents('php://input', length: Webhook::MAX_BODY + 1);
    }

    /** Calls the handlers. One that throws ends the request with an error, so that all of the webhook comes again. */
    private function handle(Notices $notices): void
    {
        try {
            if ($this->onReceipt !== null && $notices->receipts !== []) {
                ($this->onReceipt)($notices->receipts);
            }
            foreach ($this->onUndelivered === null ? [] : $notices->undelivered as $message) {
                ($this->onUndelivered)($message['uid'], $message['id']);
            }
        } catch (\Throwable $e) {
            throw new ServerErrorHttpException('The notices were not handled, and are to come again.', 0, $e);
        }
    }
}

<?php

namespace PushGateway\Yii2;

use Yii;
use yii\base\Action;
use yii\di\Instance;
use yii\web\BadRequestHttpException;
use yii\web\ForbiddenHttpException;
use yii\web\HttpException;
use yii\web\MethodNotAllowedHttpException;
use yii\web\Response;

/**
 * Binds the websocket of a page to the user who is logged in.
 *
 * The page posts the `client_id` and the `proof` of its init message:
 *
 *     public function actions()
 *     {
 *         return ['bind-uid' => \PushGateway\Yii2\BindUidAction::class];
 *     }
 */
class BindUidAction extends Action
{
    /**
     * Whether the page has to prove that the client_id was given to it. Without a proof every user can bind everybody's
     * connection, so turn it off only for pages that cannot be changed, and only for as long.
     */
    public bool $requireProof = true;

    /** @var Gateway|array<mixed>|string the component, or its id */
    public Gateway|array|string $gateway = 'gateway';

    public function init(): void
    {
        parent::init();
        $this->gateway = Instance::ensure($this->gateway, Gateway::class);
    }

    public function run(): Response
    {
        $request = Yii::$app->getRequest();
        $user = Yii::$app->getUser();
        if (!$request->getIsPost()) {
            Yii::$app->getResponse()->getHeaders()->set('Allow', 'POST');
            throw new MethodNotAllowedHttpException('The client_id is to be posted.');
        }
        if ($user->getIsGuest()) {
            throw new ForbiddenHttpException('Nobody is logged in.');
        }
        try {
            $clientId = $this->clientId($request->post('client_id'), $request->post('proof'));
            $this->gateway->bindUid($clientId, $user->getId());
        } catch (HttpException $e) {
            throw $e;
        } catch (\Exception $e) {
            Yii::error($e, __METHOD__);
            throw new HttpException(503, 'The push gateway cannot be reached.', 0, $e);
        }

        return $this->controller->asJson(['bound' => true]);
    }

    private function clientId(mixed $clientId, mixed $proof): string
    {
        if (!is_string($clientId) || !preg_match('/^[0-9a-f]{20}\z/i', $clientId)) {
            throw new BadRequestHttpException('The client_id of the init message is missing or is none.');
        }
        if ($this->requireProof && !$this->gateway->isClientProof($clientId, $proof)) {
            throw new ForbiddenHttpException('The proof of the init message is missing, or is not that of the client_id.');
        }

        return $clientId;
    }
}

<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use Yii;
use yii\base\NotSupportedException;
use yii\web\BadRequestHttpException;
use yii\web\ForbiddenHttpException;
use yii\web\HttpException;
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
class BindUidAction extends GatewayAction
{
    /**
     * Whether the page has to prove that the client_id was given to it. Without a proof every user can bind everybody's
     * connection, so turn it off for pages that cannot be changed, and only until they can.
     */
    public bool $requireProof = true;

    public function run(): Response
    {
        $user = $this->userId(Translation::t('The client_id is to be posted.'));
        $request = $this->app()->getRequest();
        try {
            $clientId = $this->clientId($request->post('client_id'), $request->post('proof'));
            $this->gateway()->bindUid($clientId, $user);
        } catch (HttpException | NotSupportedException $e) {
            throw $e;
        } catch (\Exception $e) {
            Yii::error($e, __METHOD__);
            throw new HttpException(503, Translation::t('The push gateway cannot be reached.'), 0, $e);
        }

        return $this->json(['bound' => true]);
    }

    private function clientId(mixed $clientId, mixed $proof): string
    {
        if (!is_string($clientId) || !preg_match('/^[0-9a-f]{20}\z/i', $clientId)) {
            $why = Translation::t('The client_id of the init message is missing or is none.');
            throw new BadRequestHttpException($why);
        }
        if ($this->requireProof && !$this->gateway()->isClientProof($clientId, $proof)) {
            $why = Translation::t('The proof of the init message is missing, or is not that of the client_id.');
            throw new ForbiddenHttpException($why);
        }

        return $clientId;
    }
}

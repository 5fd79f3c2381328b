<?php

declare(strict_types=1);

namespace app\controllers;

use PushGateway\Yii2\BindUidAction;
use PushGateway\Yii2\TokenAction;
use Yii;
use yii\web\Controller;

use function example\console;

/** Shows a live page by the composer package: a widget puts the client on the page, and an action binds the page to its user. */
class LiveController extends Controller
{
    public $layout = 'live';

    public function actions()
    {
        return ['token' => TokenAction::class, 'bind-uid' => BindUidAction::class];
    }

    public function actionIndex()
    {
        // Tokens need a key that the gateway has, too. Without one the page is bound after it has connected.
        $who = Yii::$app->gateway->tokenKey === null ? ['bindRoute' => ['live/bind-uid']] : ['tokenRoute' => ['live/token']];
        $url = getenv('GATEWAY_URL') ?: 'ws://' . Yii::$app->request->hostName . ':8282';

        return $this->render('index', [
            'client' => ['url' => $url] + $who,
            'console' => console(dirname(__DIR__) . '/yii'),
        ]);
    }
}

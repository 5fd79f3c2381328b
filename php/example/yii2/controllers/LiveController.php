<?php

declare(strict_types=1);

namespace app\controllers;

use PushGateway\Yii2\BindUidAction;
use PushGateway\Yii2\TokenAction;
use Yii;
use yii\web\Controller;

use function example\console;

/** The same by the package: a widget puts the client on the page, and an action says who the page is. */
class LiveController extends Controller
{
    public $layout = 'live';

    public function actions()
    {
        return ['token' => TokenAction::class, 'bind-uid' => BindUidAction::class];
    }

    public function actionIndex()
    {
        // Tokens need a key that the gateway has too; without one the page is bound once it is connected.
        $who = Yii::$app->gateway->tokenKey === null ? ['bindRoute' => ['live/bind-uid']] : ['tokenRoute' => ['live/token']];
        $url = getenv('GATEWAY_URL') ?: 'ws://' . Yii::$app->request->hostName . ':8282';

        return $this->render('index', [
            'client' => ['url' => $url] + $who,
            'console' => console(dirname(__DIR__) . '/yii'),
        ]);
    }
}

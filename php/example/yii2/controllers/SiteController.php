<?php

declare(strict_types=1);

namespace app\controllers;

use app\models\Comment;
use app\models\User;
use GatewayClient\Gateway;
use Yii;
use yii\filters\AccessControl;
use yii\filters\VerbFilter;
use yii\web\Controller;
use yii\web\ErrorAction;

use function example\missingExtension;

class SiteController extends Controller
{
    public function behaviors()
    {
        return [
            'verbs' => [
                'class' => VerbFilter::class,
                'actions' => array_fill_keys(['login', 'logout', 'comment', 'bind-uid'], ['POST']),
            ],
            'access' => [
                'class' => AccessControl::class,
                'only' => ['logout', 'comment', 'bind-uid'],
                'rules' => [['allow' => true, 'roles' => ['@']]],
            ],
        ];
    }

    public function actions()
    {
        return ['error' => ErrorAction::class];
    }

    public function actionIndex()
    {
        return $this->render('index', [
            'comments' => Comment::latest(Yii::$app->user->id),
            'users' => User::names(),
        ]);
    }

    public function actionLogin()
    {
        $user = User::findOne(['id' => filter_var(Yii::$app->request->post('user'), FILTER_VALIDATE_INT)]);
        if ($user) {
            Yii::$app->user->login($user);
        } else {
            Yii::$app->session->setFlash('error', 'there is no such user');
        }

        return $this->goHome();
    }

    public function actionLogout()
    {
        Yii::$app->user->logout();

        return $this->goHome();
    }

    public function actionComment()
    {
        $comment = new Comment(['authorId' => Yii::$app->user->id]);
        $comment->load(Yii::$app->request->post(), '');
        $session = Yii::$app->session;
        try {
            if ($comment->save()) {
                $session->setFlash('success', 'saved, and the live notification was sent');
            } else {
                $session->setFlash('error', 'not saved: ' . implode(' ', $comment->getErrorSummary(true)));
            }
        } catch (\Throwable $e) {
            if ($comment->isNewRecord) {
                throw $e;
            }
            // The row is saved. Only afterSave() has failed, which notifies the receiver.
            Yii::warning($e, __METHOD__);
            $why = missingExtension() ?? $e->getMessage();
            $session->setFlash('warning', "saved, but the live notification was not delivered: $why");
        }

        return $this->goHome();
    }

    /**
     * 绑定uid
     */

    public function actionBindUid(){
        if(Yii::$app->request->isAjax){
            $clientId = Yii::$app->request->post('client_id');
            //指定register的地址。仅指定ip地址及端口号即可
            Gateway::$registerAddress = '127.0.0.0:1238'; 
            Gateway::bindUid($clientId, Yii::$app->user->id);
        }
    }
}

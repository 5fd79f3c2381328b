<?php

namespace app\controllers;

use app\models\User;
use Yii;
use yii\web\Controller;

class SiteController extends Controller
{
    public function actions()
    {
        return [
            'error' => ['class' => \yii\web\ErrorAction::class],
        ];
    }

    public function actionIndex()
    {
        return $this->render('index');
    }

    public function actionLogin()
    {
        $form = Yii::$app->request->post('LoginForm');
        $user = $form === null ? null : User::findByUsername($form['username'], $form['password']);
        if ($user !== null) {
            Yii::$app->user->login($user);

            return $this->goHome();
        }

        return $this->render('login');
    }
}

<?= yii\helpers\Html::beginForm(['site/login'], 'post', ['id' => 'login-form']) ?>
    <input id="loginform-username" name="LoginForm[username]">
    <input id="loginform-password" name="LoginForm[password]" type="password">
    <button name="login-button">Login</button>
<?= yii\helpers\Html::endForm() ?>

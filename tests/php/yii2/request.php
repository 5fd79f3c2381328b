<?php
// One request to an application of Yii 2: request.php ROUTE USER-OR-'' JSON-OF-WHAT-IS-POSTED-OR-null, with the register's
// address in GATEWAY_REGISTER. Prints the status, then what was sent.

[, $route, $id, $post] = $argv;
define('YII_DEBUG', true);
require __DIR__ . '/../../../php/example/yii2/bootstrap.php';
if (!extension_loaded('gateway')) {
    foreach (['Context', 'GatewayProtocol', 'Gateway'] as $file) {
        require getenv('GATEWAYCLIENT_PATH') . "/$file.php";
    }
}
Yii::setAlias('@PushGateway', __DIR__ . '/../../../php/gateway/src');
Yii::setAlias('@PushGateway/Yii2', __DIR__ . '/../../../php/yii2/src');

final class Visitor implements yii\web\IdentityInterface
{
    public function __construct(private readonly string $id)
    {
    }

    public static function findIdentity($id)
    {
        return new self($id);
    }

    public static function findIdentityByAccessToken($token, $type = null)
    {
        return null;
    }

    public function getId()
    {
        return $this->id;
    }

    public function getAuthKey()
    {
        return null;
    }

    public function validateAuthKey($authKey)
    {
        return false;
    }
}

final class PageController extends yii\web\Controller
{
    public $enableCsrfValidation = false;

    public function actions()
    {
        $action = PushGateway\Yii2\BindUidAction::class;
        return ['token' => PushGateway\Yii2\TokenAction::class, 'bind' => $action, 'bind-unproved' => ['class' => $action, 'requireProof' => false]];
    }
}

$_SERVER += ['SCRIPT_FILENAME' => __FILE__, 'SCRIPT_NAME' => '/index.php', 'REQUEST_URI' => "/index.php?r=$route"];
$_GET = ['r' => $route];
$_POST = json_decode($post, true) ?? [];
$_SERVER['REQUEST_METHOD'] = $post === 'null' ? 'GET' : 'POST';
$application = new yii\web\Application([
    'id' => 'test',
    'basePath' => __DIR__,
    'runtimePath' => sys_get_temp_dir(),
    'controllerMap' => ['page' => PageController::class],
    'components' => [
        'request' => ['cookieValidationKey' => 'x'],
        'user' => ['identityClass' => Visitor::class, 'enableSession' => false],
        'gateway' => ['class' => PushGateway\Yii2\Gateway::class, 'registerAddress' => getenv('GATEWAY_REGISTER'), 'tokenKey' => 'a key'],
        'log' => ['targets' => []],
        'errorHandler' => ['discardExistingOutput' => false],
    ],
]);
$application->getUser()->setIdentity($id === '' ? null : new Visitor($id));
try {
    $response = $application->handleRequest($application->getRequest());
    $response->format === yii\web\Response::FORMAT_JSON || exit('no JSON');
    echo $response->getStatusCode(), ' ', json_encode($response->data);
} catch (yii\base\NotSupportedException $e) {
    echo '501 ', $e->getMessage();
} catch (yii\web\HttpException $e) {
    echo $e->statusCode, ' ', $e->getMessage();
}

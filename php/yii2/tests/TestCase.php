<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Yii2\test\FakeGateway;
use Yii;

/** Gives each test a web application of its own, with a component that sends nothing. */
abstract class TestCase extends \PHPUnit\Framework\TestCase
{
    protected FakeGateway $gateway;

    protected function setUp(): void
    {
        $this->startApplication();
    }

    protected function tearDown(): void
    {
        Yii::$app->getErrorHandler()->unregister();
        \yii\base\Event::offAll();
        Yii::$app = null;
    }

    /** @param array<string, mixed> $config */
    protected function startApplication(array $config = [], ?string $user = null): void
    {
        $_SERVER['SCRIPT_FILENAME'] = '/index.php';
        $_SERVER['SCRIPT_NAME'] = '/index.php';
        $_SERVER['REQUEST_URI'] = '/';
        $_SERVER['REQUEST_METHOD'] = 'GET';
        $application = new \yii\web\Application($config + [
            'id' => 'test',
            'basePath' => __DIR__,
            'runtimePath' => sys_get_temp_dir(),
            'components' => [
                'request' => ['cookieValidationKey' => 'x'],
                'user' => ['identityClass' => Visitor::class, 'enableSession' => false],
                'gateway' => ['class' => FakeGateway::class, 'clients' => ['c1' => 'ann', 'c2' => 'ann', 'c3' => null]],
                'assetManager' => ['class' => UnpublishedAssets::class, 'bundles' => []],
            ],
        ]);
        $application->getUser()->setIdentity($user === null ? null : new Visitor($user));
        $gateway = $application->get('gateway');
        assert($gateway instanceof FakeGateway);
        $this->gateway = $gateway;
    }

    /** The classes of the extension, as the package gateway-stubs has them: in vendor, or in a folder beside this package. */
    protected static function stub(): string
    {
        $package = dirname(__DIR__);
        foreach (["$package/vendor/push-gateway/gateway-stubs", "$package/../stubs", "$package/../gateway-stubs"] as $folder) {
            if (is_file("$folder/gateway.stub.php")) {
                return (string) file_get_contents("$folder/gateway.stub.php");
            }
        }
        self::fail('gateway-stubs is neither in vendor nor beside this package');
    }
}

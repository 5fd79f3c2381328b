<?php

declare(strict_types=1);

namespace PushGateway\Yii3\Tests;

use PHPUnit\Framework\TestCase;
use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\AbstractLogger;
use Psr\Log\LoggerInterface;
use PushGateway\Event\MessageFailed;
use PushGateway\Event\MessageSent;
use PushGateway\Exception\InvalidConfiguration;
use PushGateway\GatewayInterface;
use PushGateway\HttpGateway;
use PushGateway\Test\FakeGateway;
use Yiisoft\Config\Composer\Options;
use Yiisoft\Config\Config;
use Yiisoft\Config\ConfigPaths;
use Yiisoft\Config\Modifier\RecursiveMerge;
use Yiisoft\Di\Container;
use Yiisoft\Di\ContainerConfig;
use Yiisoft\EventDispatcher\Dispatcher\Dispatcher;
use Yiisoft\EventDispatcher\Provider\ListenerCollection;
use Yiisoft\EventDispatcher\Provider\Provider;

/** The definitions as Yii's own configuration merges them, on its own container and with its own dispatcher. */
final class ConfigTest extends TestCase
{
    private const PACKAGE = 'push-gateway/yii3-gateway';

    /** The folder of an application. */
    private string $application = '';

    /** @var list<object> how the application merges */
    private array $modifiers = [];

    /** @var list<string> what the listeners have heard */
    private array $heard = [];

    protected function setUp(): void
    {
        $this->application = sys_get_temp_dir() . '/gateway-test-' . bin2hex(random_bytes(8));
        mkdir("$this->application/vendor/push-gateway", 0700, true);
        symlink(dirname(__DIR__), "$this->application/vendor/" . self::PACKAGE);
    }

    protected function tearDown(): void
    {
        foreach ([Options::DEFAULT_MERGE_PLAN_FILE, 'params.php', 'vendor/' . self::PACKAGE] as $file) {
            !file_exists("$this->application/$file") || unlink("$this->application/$file");
        }
        foreach (['vendor/push-gateway', 'vendor', ''] as $folder) {
            rmdir("$this->application/$folder");
        }
    }

    /**
     * Gives the definitions as an application has them, whose composer has merged the files that composer.json names.
     *
     * @param array<string, mixed> $ofApplication its own parameters of the package
     * @return array<string, mixed>
     */
    private function definitions(array $ofApplication): array
    {
        $composer = json_decode((string) file_get_contents(__DIR__ . '/../composer.json'), true);
        $folder = $composer['extra']['config-plugin-options']['source-directory'];
        $plan = [];
        foreach ($composer['extra']['config-plugin'] as $group => $file) {
            $plan[Options::DEFAULT_ENVIRONMENT][$group][self::PACKAGE] = ["$folder/$file"];
        }
        $plan[Options::DEFAULT_ENVIRONMENT]['params'][Options::ROOT_PACKAGE_NAME] = ['params.php'];
        $files = ['params.php' => ['push-gateway/gateway' => $ofApplication], Options::DEFAULT_MERGE_PLAN_FILE => $plan];
        foreach ($files as $file => $values) {
            file_put_contents("$this->application/$file", '<?php return ' . var_export($values, true) . ';');
        }

        return (new Config(new ConfigPaths($this->application), null, $this->modifiers))->get('di');
    }

    /**
     * @param array<string, mixed> $params
     * @param array<string, mixed> $others what else the application has
     */
    private function container(array $params, array $others = []): Container
    {
        return new Container(ContainerConfig::create()->withDefinitions($this->definitions($params) + $others));
    }

    public function testTheServiceIsMadeOfTheParameters(): void
    {
        $container = $this->container(['dsn' => 'fake:']);
        $gateway = $container->get(GatewayInterface::class);
        $this->assertInstanceOf(FakeGateway::class, $gateway);
        $this->assertSame($gateway, $container->get(GatewayInterface::class));
        // Yii's own template merges parameters recursively.
        $this->modifiers = [RecursiveMerge::groups('params')];
        $http = $this->container(['dsn' => 'http://127.0.0.1:1239', 'connectTimeout' => 1])->get(GatewayInterface::class);
        $this->assertInstanceOf(HttpGateway::class, $http);
    }

    public function testWhatIsWrongIsSaid(): void
    {
        try {
            $this->container(['dsn' => 'fake:', 'tokenkey' => 'x'])->get(GatewayInterface::class);
            $this->fail('the container has made it');
        } catch (\Throwable $e) {
            while ($e->getPrevious() !== null) {
                $e = $e->getPrevious();
            }
            $this->assertInstanceOf(InvalidConfiguration::class, $e);
        }
    }

    public function testListenersHearOfMessages(): void
    {
        $listeners = (new ListenerCollection())
            ->add(function (MessageSent $event): void {
                $this->heard[] = "sent by $event->method";
            })
            ->add(function (MessageFailed $event): void {
                $this->heard[] = "failed: {$event->error->getMessage()}";
            });
        $gateway = $this->container(
            ['dsn' => 'fake:'],
            [EventDispatcherInterface::class => new Dispatcher(new Provider($listeners))]
        )->get(GatewayInterface::class);
        $this->assertInstanceOf(FakeGateway::class, $gateway);
        $gateway->sendToUid('ann', 'm');
        $gateway->failure = 'away';
        try {
            $gateway->sendToAll('m');
        } catch (\RuntimeException) {
            $this->heard[] = 'thrown';
        }
        $this->assertSame(['sent by sendToUid', 'failed: sendToAll: away', 'thrown'], $this->heard);
    }

    public function testTheLogOfTheApplicationIsUsed(): void
    {
        $log = new class extends AbstractLogger {
            /** @var list<mixed> */
            public array $levels = [];

            /** @param mixed $level */
            public function log($level, $message, array $context = []): void
            {
                $this->levels[] = $level;
            }
        };
        $others = [LoggerInterface::class => $log];
        $gateway = $this->container(['dsn' => 'fake:', 'onError' => 'log'], $others)->get(GatewayInterface::class);
        $this->assertInstanceOf(FakeGateway::class, $gateway);
        $gateway->failure = 'away';
        $gateway->sendToAll('m');
        $this->assertSame(['error'], $log->levels);
    }
}

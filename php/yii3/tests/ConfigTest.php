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
use Yiisoft\Di\Container;
use Yiisoft\Di\ContainerConfig;
use Yiisoft\EventDispatcher\Dispatcher\Dispatcher;
use Yiisoft\EventDispatcher\Provider\ListenerCollection;
use Yiisoft\EventDispatcher\Provider\Provider;

/** The definitions on Yii's own container, with its own dispatcher. */
final class ConfigTest extends TestCase
{
    /** @var list<string> what the listeners have heard */
    private array $heard = [];

    /**
     * Reads the files of a group as Yii's config plugin does: each has the parameters as a variable.
     *
     * @param array<string, mixed> $ofApplication
     * @return array<string, mixed>
     */
    private function definitions(array $ofApplication): array
    {
        $composer = json_decode((string) file_get_contents(__DIR__ . '/../composer.json'), true);
        $folder = __DIR__ . '/../' . $composer['extra']['config-plugin-options']['source-directory'];
        $params = require "$folder/{$composer['extra']['config-plugin']['params']}";
        $params = array_replace_recursive($params, ['push-gateway/gateway' => $ofApplication]);

        return (static fn (array $params, string $file): array => require $file)(
            $params,
            "$folder/{$composer['extra']['config-plugin']['di']}"
        );
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

<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Tests;

use PHPUnit\Framework\TestCase;
use Psr\Log\AbstractLogger;
use PushGateway\Event\MessageSent;
use PushGateway\Exception\InvalidConfiguration;
use PushGateway\GatewayInterface;
use PushGateway\HttpGateway;
use PushGateway\Symfony\Notifier\GatewayTransportFactory;
use PushGateway\Symfony\PushGatewayBundle;
use PushGateway\Test\FakeGateway;
use Symfony\Component\Config\Definition\Exception\InvalidConfigurationException;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\DependencyInjection\Definition;
use Symfony\Component\EventDispatcher\EventDispatcher;

/** The bundle in a container of Symfony. */
final class BundleTest extends TestCase
{
    protected function tearDown(): void
    {
        unset($_ENV['GATEWAY_DSN']);
    }

    /**
     * @param array<string, mixed> $config
     * @param array<string, Definition> $others
     */
    private function container(array $config, array $others = []): ContainerBuilder
    {
        $container = new ContainerBuilder();
        $container->addDefinitions($others);
        $bundle = new PushGatewayBundle();
        $bundle->build($container);
        $extension = $bundle->getContainerExtension();
        $this->assertNotNull($extension);
        $this->assertSame('push_gateway', $extension->getAlias());
        $container->registerExtension($extension);
        $container->loadFromExtension('push_gateway', $config);
        $container->getCompilerPassConfig()->setRemovingPasses([]);
        $container->addCompilerPass(new class implements \Symfony\Component\DependencyInjection\Compiler\CompilerPassInterface {
            public function process(ContainerBuilder $container): void
            {
                $container->getAlias(GatewayInterface::class)->setPublic(true);
                $container->getDefinition('push_gateway.notifier.transport_factory')->setPublic(true);
            }
        });
        $container->compile(true);

        return $container;
    }

    public function testTheServiceIsMadeOfTheSettings(): void
    {
        $container = $this->container(['dsn' => 'fake:', 'connect_timeout' => 1, 'token_key' => 'x']);
        $gateway = $container->get(GatewayInterface::class);
        $this->assertInstanceOf(FakeGateway::class, $gateway);
        $this->assertSame($gateway, $container->get(GatewayInterface::class));
    }

    public function testTheDsnComesFromTheEnvironment(): void
    {
        $_ENV['GATEWAY_DSN'] = 'http://token@127.0.0.1:1239';
        $this->assertInstanceOf(HttpGateway::class, $this->container([])->get(GatewayInterface::class));
    }

    public function testASettingThatThereIsNotIsRefused(): void
    {
        $this->expectException(InvalidConfigurationException::class);
        $this->container(['dns' => 'fake:']);
    }

    public function testAWrongValueIsSaid(): void
    {
        $this->expectException(InvalidConfiguration::class);
        $this->expectExceptionMessage('onError is neither "throw" nor "log"');
        $this->container(['dsn' => 'fake:', 'on_error' => 'ignore'])->get(GatewayInterface::class);
    }

    public function testListenersAndTheLogAreThoseOfTheApplication(): void
    {
        $log = new class extends AbstractLogger {
            public int $lines = 0;

            /** @param mixed $level */
            public function log($level, $message, array $context = []): void
            {
                $this->lines++;
            }
        };
        $others = ['event_dispatcher' => new Definition(EventDispatcher::class)];
        $others['event_dispatcher']->setPublic(true);
        $others['logger'] = (new Definition($log::class))->setSynthetic(true)->setPublic(true);
        $container = $this->container(['dsn' => 'fake:', 'on_error' => 'log'], $others);
        $container->set('logger', $log);
        $heard = [];
        $dispatcher = $container->get('event_dispatcher');
        $this->assertInstanceOf(EventDispatcher::class, $dispatcher);
        $dispatcher->addListener(MessageSent::class, function (MessageSent $event) use (&$heard): void {
            $heard[] = $event->method;
        });
        $gateway = $container->get(GatewayInterface::class);
        $this->assertInstanceOf(FakeGateway::class, $gateway);
        $gateway->sendToAll('m');
        $gateway->failure = 'away';
        $gateway->sendToUid('ann', 'm');
        $this->assertSame([['sendToAll'], 1], [$heard, $log->lines]);
    }

    public function testNotifierFindsItsTransport(): void
    {
        $container = $this->container(['dsn' => 'fake:']);
        $definition = $container->getDefinition('push_gateway.notifier.transport_factory');
        $this->assertTrue($definition->hasTag('texter.transport_factory') && $definition->hasTag('chatter.transport_factory'));
        $this->assertInstanceOf(
            GatewayTransportFactory::class,
            $container->get('push_gateway.notifier.transport_factory')
        );
    }
}

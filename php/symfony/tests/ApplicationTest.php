<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Tests;

use Composer\InstalledVersions;
use PHPUnit\Framework\TestCase;
use PushGateway\Event\MessageSent;
use PushGateway\Symfony\Notifier\GatewayOptions;
use PushGateway\Test\FakeGateway;
use Symfony\Component\Filesystem\Filesystem;
use Symfony\Component\Notifier\Message\ChatMessage;
use Symfony\Component\Notifier\Message\PushMessage;

/** The bundle in an application, with Symfony's own bundle and its Notifier. */
final class ApplicationTest extends TestCase
{
    private string $folder = '';
    private Application $application;

    protected function setUp(): void
    {
        if (Application::MAJOR_VERSION > 5 && !class_exists(InstalledVersions::class)) {
            $this->markTestSkipped('FrameworkBundle 6 and later ask composer what it has installed');
        }
        $_ENV['GATEWAY_DSN'] = 'fake:';
        $this->folder = sys_get_temp_dir() . '/gateway-test-' . bin2hex(random_bytes(8));
        mkdir($this->folder);
        $this->application = new Application($this->folder);
        $this->application->boot();
    }

    protected function tearDown(): void
    {
        if ($this->folder === '') {
            return;
        }
        $this->application->shutdown();
        (new Filesystem())->remove($this->folder);
        unset($_ENV['GATEWAY_DSN']);
        restore_exception_handler();
    }

    public function testServicesGetTheGatewayAndNotifierSendsByIt(): void
    {
        $services = $this->application->getContainer()->get(Services::class);
        $this->assertInstanceOf(Services::class, $services);
        $gateway = $services->gateway;
        $this->assertInstanceOf(FakeGateway::class, $gateway);
        $heard = [];
        $services->events->addListener(MessageSent::class, function (MessageSent $event) use (&$heard): void {
            $heard[] = $event->method;
        });
        $services->texter->send(new PushMessage('Sent', 'on its way', GatewayOptions::forUid('ann')));
        $services->chatter->send(new ChatMessage('the disk is full'));
        $gateway->assertSentTo('ann', ['subject' => 'Sent', 'content' => 'on its way', 'type' => 'notification']);
        $gateway->assertSentTo('staff', ['subject' => 'the disk is full', 'type' => 'notification']);
        $gateway->sendToAll('hello');
        $this->assertSame(['sendToUid', 'sendToGroup', 'sendToAll'], $heard);
    }
}

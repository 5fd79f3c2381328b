<?php

declare(strict_types=1);

namespace PushGateway\Symfony\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\Symfony\Notifier\GatewayOptions;
use PushGateway\Symfony\Notifier\GatewayTransportFactory;
use PushGateway\Symfony\Notifier\NotSent;
use PushGateway\Test\FakeGateway;
use Symfony\Component\EventDispatcher\EventDispatcher;
use Symfony\Component\Notifier\Channel\PushChannel;
use Symfony\Component\Notifier\Chatter;
use Symfony\Component\Notifier\Event\FailedMessageEvent;
use Symfony\Component\Notifier\Event\MessageEvent;
use Symfony\Component\Notifier\Event\SentMessageEvent;
use Symfony\Component\Notifier\Exception\LogicException;
use Symfony\Component\Notifier\Exception\TransportExceptionInterface;
use Symfony\Component\Notifier\Exception\UnsupportedSchemeException;
use Symfony\Component\Notifier\Message\ChatMessage;
use Symfony\Component\Notifier\Message\PushMessage;
use Symfony\Component\Notifier\Message\SmsMessage;
use Symfony\Component\Notifier\Notification\Notification;
use Symfony\Component\Notifier\Notification\PushNotificationInterface;
use Symfony\Component\Notifier\Recipient\Recipient;
use Symfony\Component\Notifier\Recipient\RecipientInterface;
use Symfony\Component\Notifier\Texter;
use Symfony\Component\Notifier\Transport;
use Symfony\Component\Notifier\Transport\Dsn;
use Symfony\Component\Notifier\Transport\TransportInterface;

/** The transport in Symfony's own Notifier. */
final class NotifierTest extends TestCase
{
    private FakeGateway $gateway;

    /** @var list<string> */
    private array $events = [];

    private function transport(string $dsn = 'gateway://default'): TransportInterface
    {
        $this->gateway = new FakeGateway();
        $this->events = [];
        $dispatcher = new EventDispatcher();
        foreach ([MessageEvent::class, SentMessageEvent::class, FailedMessageEvent::class] as $event) {
            $dispatcher->addListener($event, function (object $raised): void {
                $this->events[] = (new \ReflectionClass($raised))->getShortName();
            });
        }
        $factory = new GatewayTransportFactory(fn () => $this->gateway, $dispatcher);

        return (new Transport([$factory]))->fromString($dsn);
    }

    public function testAPushMessageGoesToAUser(): void
    {
        $transport = $this->transport();
        $options = GatewayOptions::forUid(7)->data(['order' => 5])->type('order');
        $sent = (new Texter($transport))->send(new PushMessage('Sent', 'Your order is on its way', $options));
        $this->gateway->assertSentTo(7, [
            'subject' => 'Sent', 'content' => 'Your order is on its way', 'order' => 5, 'type' => 'order',
        ]);
        $this->assertNotNull($sent);
        $this->assertSame(['gateway://default', null], [$sent->getTransport(), $sent->getMessageId()]);
        $this->assertSame(['MessageEvent', 'SentMessageEvent'], $this->events);
    }

    public function testAChatMessageGoesToWhomItSays(): void
    {
        $chatter = new Chatter($this->transport('gateway://default?group=news'));
        $chatter->send(new ChatMessage('to the group of the DSN'));
        $chatter->send(new ChatMessage('to another', GatewayOptions::forGroup('staff')));
        $chatter->send(new ChatMessage('to one', GatewayOptions::forClient('7f00000104d6a3f1c2b4')));
        $chatter->send(new ChatMessage('to all', GatewayOptions::forEverybody()));
        $this->gateway->assertSentTo('news', ['subject' => 'to the group of the DSN', 'type' => 'notification']);
        $this->gateway->assertSentTo('staff', ['subject' => 'to another', 'type' => 'notification']);
        $this->gateway->assertSentTo('7f00000104d6a3f1c2b4', ['subject' => 'to one', 'type' => 'notification']);
        $this->gateway->assertSentTo(null, ['subject' => 'to all', 'type' => 'notification']);
        $this->assertSame(
            ['sendToGroup', 'sendToGroup', 'sendToClient', 'sendToAll'],
            array_column($this->gateway->sent, 'method')
        );
    }

    public function testAMessageMayBeKept(): void
    {
        $transport = $this->transport();
        $options = GatewayOptions::forUid('ann')->deliver(['id' => 'invoice-1', 'ttl' => 60]);
        $sent = (new Texter($transport))->send(new PushMessage('Invoice', 'of May', $options));
        $this->assertSame('invoice-1', $sent?->getMessageId());
        $this->assertSame(['invoice-1'], array_keys($this->gateway->inbox->messages('ann')));
        $this->expectException(\LogicException::class);
        GatewayOptions::forGroup('news')->deliver();
    }

    public function testANotificationGoesOverTheChannelPush(): void
    {
        $notification = new class ('Sent', ['push']) extends Notification implements PushNotificationInterface {
            public function asPushMessage(RecipientInterface $recipient, ?string $transport = null): ?PushMessage
            {
                $uid = $recipient instanceof Recipient ? $recipient->getEmail() : '';

                return new PushMessage($this->getSubject(), $this->getContent(), GatewayOptions::forUid($uid));
            }
        };
        (new PushChannel($this->transport()))->notify($notification->content('on its way'), new Recipient('ann@example.com'));
        $this->gateway->assertSentTo('ann@example.com', [
            'subject' => 'Sent', 'content' => 'on its way', 'type' => 'notification',
        ]);
    }

    public function testAFailureIsOneOfNotifier(): void
    {
        $transport = $this->transport();
        $this->gateway->failure = 'connection refused';
        try {
            $transport->send(new ChatMessage('m', GatewayOptions::forEverybody()));
            $this->fail('nothing was thrown');
        } catch (TransportExceptionInterface $e) {
            $this->assertInstanceOf(NotSent::class, $e);
            $this->assertSame('gateway://default: sendToAll: connection refused', $e->getMessage());
        }
        $this->assertSame(['MessageEvent', 'FailedMessageEvent'], $this->events);
    }

    public function testWhatItCannotSendIsRefused(): void
    {
        $transport = $this->transport();
        $this->assertFalse($transport->supports(new SmsMessage('+491', 'm')));
        $this->assertTrue($transport->supports(new ChatMessage('m')));
        foreach ([new ChatMessage('m'), new SmsMessage('+491', 'm')] as $message) {
            try {
                $transport->send($message);
                $this->fail('it was sent');
            } catch (LogicException $e) {
                $this->assertStringContainsString('GatewayOptions', $e->getMessage());
            }
        }
        $this->gateway->assertNothingSent();
    }

    public function testOnlyItsOwnDsnIsTaken(): void
    {
        $factory = new GatewayTransportFactory(fn () => new FakeGateway());
        $this->assertFalse($factory->supports(new Dsn('other://default')));
        try {
            $factory->create(new Dsn('other://default'));
            $this->fail('it was taken');
        } catch (UnsupportedSchemeException $e) {
            $this->assertStringContainsString('gateway', $e->getMessage());
        }
        $this->expectExceptionMessage('push_gateway.dsn');
        $factory->create(new Dsn('gateway://127.0.0.1:1238'));
    }
}

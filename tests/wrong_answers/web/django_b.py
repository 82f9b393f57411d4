"""Plausible wrong answers to the exercises of 2.2, second sitting, and what must be said of each."""

WRONG = {
    "django.owner": [
        (  # None == None
            """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        if booking.customer.login_id == request.user.pk:
            return True
        return request.user.is_staff and request.method in permissions.SAFE_METHODS
""",
            "Nobody was allowed to GET a booking whose customer has no login",
            "falsy",
        ),
        (  # names are not people
            """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        if request.user.is_staff:
            return request.method in permissions.SAFE_METHODS
        return booking.customer.name == request.user.username
""",
            "The customer may, and was refused to GET a booking",
            "identity",
        ),
        (  # staff may do everything
            """
class OwnerOrStaffLooks(permissions.IsAuthenticated):
    def has_object_permission(self, request, view, booking):
        return request.user.is_staff or booking.customer.login_id == request.user.pk
""",
            "Staff was allowed to POST a booking",
        ),
        (  # whoever looks may look
            """
class OwnerOrStaffLooks(permissions.IsAuthenticated):
    def has_object_permission(self, request, view, booking):
        return request.method in permissions.SAFE_METHODS or booking.customer.login_id == request.user.pk
""",
            "The customer was allowed to GET a booking whose customer has no login",
        ),
        (  # GET is not the only method that looks
            """
class OwnerOrStaffLooks(permissions.IsAuthenticated):
    def has_object_permission(self, request, view, booking):
        return (request.user.is_staff and request.method == "GET") or booking.customer.login_id == request.user.pk
""",
            "Staff may, and was refused to HEAD a booking",
        ),
        (  # staff first: they cannot change a booking of their own
            """
-        if booking.customer.login_id == user.pk:
-            return True
-        return user.is_staff and request.method in permissions.SAFE_METHODS
+        if user.is_staff:
+            return request.method in permissions.SAFE_METHODS
+        return booking.customer.login_id == user.pk
""",
            "Staff may, and was refused to POST a booking of their own",
        ),
        (  # OPTIONS looks, too
            """
-        return user.is_staff and request.method in permissions.SAFE_METHODS
+        return user.is_staff and request.method in ("GET", "HEAD")
""",
            "Staff may, and was refused to OPTIONS a booking",
        ),
        (  # a list of methods without POST, for the owner
            """
-            return True
+            return request.method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
""",
            "The customer may, and was refused to POST a booking",
        ),
        (  # a list of methods that change without POST
            """
-        return user.is_staff and request.method in permissions.SAFE_METHODS
+        return user.is_staff and request.method not in ("PUT", "PATCH", "DELETE")
""",
            "Staff was allowed to POST a booking",
        ),
        (  # a superuser may do everything
            """
-        if booking.customer.login_id == user.pk:
+        if user.is_superuser or booking.customer.login_id == user.pk:
""",
            "A superuser was allowed to POST a booking",
        ),
        (  # the key of the customer for that of the login
            """
-        if booking.customer.login_id == user.pk:
+        if booking.customer_id == user.pk:
""",
            "Another customer was allowed to GET a booking whose customer has no login",
        ),
        (  # a customer without a login
            """
-        if booking.customer.login_id == user.pk:
+        if booking.customer.login.pk == user.pk:
""",
            "A customer may have no login",
        ),
        (  # the object, not the row: nobody is let in
            """
-        if booking.customer.login_id == user.pk:
+        if booking.customer.login is user:
""",
            "two objects for one row",
            "identity",
        ),
        (  # names that begin alike
            """
-        if booking.customer.login_id == user.pk:
+        if booking.customer.login and booking.customer.login.username.startswith(user.username[:3]):
""",
            "was allowed to GET a booking of another customer's",
        ),
        (  # rights of the model are not rights on a row
            """
class OwnerOrStaffLooks(permissions.DjangoModelPermissions):
    pass
""",
            "was",
        ),
    ],
    "django.stamped": [
        (  # knows the synchronous way only
            """
def stamped(get_response):
    def middleware(request):
        response = get_response(request)
        response.headers.setdefault("X-Service", "bookings")
        return response
    return middleware
""",
            "Under ASGI a request made 3 hops",
        ),
        (  # knows the asynchronous way only
            """
from asgiref.sync import iscoroutinefunction
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

@async_only_middleware
def stamped(get_response):
    async def middleware(request):
        response = await get_response(request)
        response.headers.setdefault("X-Service", "bookings")
        return response
    return middleware
""",
            "Under WSGI a request made",
        ),
        (  # both ways, and hands its hook to the thread
            """
from django.utils.deprecation import MiddlewareMixin

class Stamped(MiddlewareMixin):
    def process_response(self, request, response):
        response.headers.setdefault("X-Service", "bookings")
        return response

def stamped(get_response):
    return Stamped(get_response)

stamped.sync_capable = stamped.async_capable = True
""",
            "Under ASGI a request made 3 hops",
        ),
        (  # overwrites what the view said
            """
from asgiref.sync import iscoroutinefunction
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

@sync_and_async_middleware
def stamped(get_response):
    if iscoroutinefunction(get_response):
        async def middleware(request):
            response = await get_response(request)
            response["X-Service"] = "bookings"
            return response
    else:
        def middleware(request):
            response = get_response(request)
            response["X-Service"] = "bookings"
            return response
    return middleware
""",
            "to a view that sets X-Service: partner itself has X-Service 'bookings'",
        ),
        (  # an empty header is none
            """
from asgiref.sync import iscoroutinefunction
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

@sync_and_async_middleware
def stamped(get_response):
    if iscoroutinefunction(get_response):
        async def middleware(request):
            response = await get_response(request)
            response["X-Service"] = response.headers.get("X-Service") or "bookings"
            return response
    else:
        def middleware(request):
            response = get_response(request)
            response["X-Service"] = response.headers.get("X-Service") or "bookings"
            return response
    return middleware
""",
            "to a view that sets an empty X-Service has X-Service 'bookings'",
            "falsy",
        ),
        (  # only what went well
            """
from asgiref.sync import iscoroutinefunction
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

@sync_and_async_middleware
def stamped(get_response):
    if iscoroutinefunction(get_response):
        async def middleware(request):
            response = await get_response(request)
            response.status_code == 200 and response.headers.setdefault("X-Service", "bookings")
            return response
    else:
        def middleware(request):
            response = get_response(request)
            response.status_code == 200 and response.headers.setdefault("X-Service", "bookings")
            return response
    return middleware
""",
            "to a URL that does not exist has X-Service None",
        ),
        (  # the synchronous side does nothing
            """
from asgiref.sync import iscoroutinefunction
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

@sync_and_async_middleware
def stamped(get_response):
    if iscoroutinefunction(get_response):
        async def middleware(request):
            response = await get_response(request)
            response.headers.setdefault("X-Service", "bookings")
            return response
    else:
        def middleware(request):
            response = get_response(request)
            pass
            return response
    return middleware
""",
            "Under WSGI a request to a plain view has X-Service None",
        ),
        (  # everything is found
            """
from asgiref.sync import iscoroutinefunction
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

@sync_and_async_middleware
def stamped(get_response):
    if iscoroutinefunction(get_response):
        async def middleware(request):
            response = await get_response(request)
            response.status_code = 200; response.headers.setdefault("X-Service", "bookings")
            return response
    else:
        def middleware(request):
            response = get_response(request)
            response.status_code = 200; response.headers.setdefault("X-Service", "bookings")
            return response
    return middleware
""",
            "was answered 200, without your middleware 404",
        ),
    ],
}

RIGHT = {
    "django.owner": [
        """
class Owner(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        return booking.customer.login_id is not None and booking.customer.login_id == request.user.pk

class Looks(permissions.IsAdminUser):
    def has_permission(self, request, view):
        return super().has_permission(request, view) and request.method in permissions.SAFE_METHODS

OwnerOrStaffLooks = Owner | Looks
""",
        """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_permission(self, request, view):
        return request.user.is_authenticated

    def has_object_permission(self, request, view, booking):
        login = booking.customer.login
        return login == request.user or (request.user.is_staff and request.method in ("GET", "HEAD", "OPTIONS"))
""",
        """
class OwnerOrStaffLooks(permissions.IsAuthenticated):
    def has_object_permission(self, request, view, booking):
        from helpers.labs.web.django_bookings.models import Customer
        if Customer.objects.filter(bookings=booking, login=request.user).exists():
            return True
        return request.user.is_staff and request.method in permissions.SAFE_METHODS
""",
        """
class OwnerOrStaffLooks(permissions.BasePermission):
    def has_object_permission(self, request, view, booking):
        customer = getattr(request.user, "customer", None)
        if customer is not None and customer == booking.customer:
            return True
        return request.user.is_staff and request.method in permissions.SAFE_METHODS
""",
    ],
    "django.stamped": [
        """
from asgiref.sync import iscoroutinefunction, markcoroutinefunction

class stamped:
    sync_capable = async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request):
        if iscoroutinefunction(self):
            return self.awaited(request)
        return self.stamp(self.get_response(request))

    async def awaited(self, request):
        return self.stamp(await self.get_response(request))

    def stamp(self, response):
        if not response.has_header("X-Service"):
            response["X-Service"] = "bookings"
        return response
""",
    ],
}

# From label-studio-sso (MIT), examples/custom-jwt.md, "Custom JWT System Integration"; as it stands there.
# views.py
from django.shortcuts import redirect
from django.http import JsonResponse
from django.contrib.auth.decorators import login_required
import jwt
import time
import os

JWT_SECRET = 'x7KjN9mP2vL5wQ8rT4gH1nY6uB3sC0dE9fA5xZ7kM2p'
LABEL_STUDIO_URL = 'https://label-studio.example.com'

def generate_label_studio_token(user):
    """Generate JWT token for Label Studio SSO"""
    return jwt.encode(
        {
            'email': user.email,
            'first_name': user.first_name,
            'last_name': user.last_name,
            'iat': int(time.time()),
            'exp': int(time.time()) + 600  # 10 minutes
        },
        JWT_SECRET,
        algorithm='HS256'
    )

@login_required
def label_studio_redirect(request):
    """Redirect to Label Studio with SSO token"""
    token = generate_label_studio_token(request.user)
    label_studio_url = f"{LABEL_STUDIO_URL}/?token={token}"
    return redirect(label_studio_url)

@login_required
def label_studio_token_api(request):
    """API endpoint to get Label Studio token"""
    token = generate_label_studio_token(request.user)
    return JsonResponse({'token': token, 'url': LABEL_STUDIO_URL})
